"""The density engine: rays from cells of activity through tissue of any density."""
