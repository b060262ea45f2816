"""Pure rules: what the words mean and what happens next. No I/O, no clock, no chance."""
