"""What happens: accept, claim, send, settle, wake, sweep. Knows ports, never adapters."""
