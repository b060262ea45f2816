"""The stores over SQLite's dialect, which D1 and SQLite share word for word."""
