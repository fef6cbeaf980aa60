//! The scripts that Redis runs for a store, each in one step. The provider's component is compiled from this file, too.

/// Sets a key if it is still what it was. `ARGV[1]` says whether it was anything.
pub(super) const SWAP: &str = "local now = redis.call('GET', KEYS[1])
if (ARGV[1] == '1' and now == ARGV[2]) or (ARGV[1] == '0' and not now) then
  redis.call('SET', KEYS[1], ARGV[3])
  return 1
end
return 0";

/// Adds `ARGV[1]` to a number, unless the sum is below zero: then it is what it was. The sum comes as text, since
/// Lua's numbers are not exact.
pub(super) const ADD_TO_NATURAL: &str = "redis.call('INCRBY', KEYS[1], ARGV[1])
local sum = redis.call('GET', KEYS[1])
if string.sub(sum, 1, 1) == '-' then
  redis.call('DECRBY', KEYS[1], ARGV[1])
  return redis.error_reply('ERR increment would overflow')
end
return sum";
