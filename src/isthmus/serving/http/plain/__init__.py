"""Endpoints for people and files: rows, pictures, sounds, tables and archives in, the same kind out."""
