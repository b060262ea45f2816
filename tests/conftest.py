"""What every test shares; a fixture that only one folder needs lives in that folder."""
