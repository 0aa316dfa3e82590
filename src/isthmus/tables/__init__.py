"""Tables: holes are filled, and rows are made that never were."""
