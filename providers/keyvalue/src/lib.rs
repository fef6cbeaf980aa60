//! The keyvalue provider: memory, redb and Redis.
