"""The laws for one robot: shield, fallback, supervisor, monitors."""
