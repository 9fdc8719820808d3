"""What a command does, files to files, callable from Python."""
