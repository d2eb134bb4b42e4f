"""What a test told the emulator to answer, and the forms that an answer may take."""
