"""The outside world, one room each: stores, senders, wake-ups, clock."""
