/** The answer for a path that was asked for so many times: a BigInt, as a `u64` of WIT is in JavaScript. */
export function said(path, times) {
  return times === 1n ? `${path} was asked for once\n` : `${path} was asked for ${times} times\n`;
}
