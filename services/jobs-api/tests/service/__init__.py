"""Tests of the service and its client; those of the work on files lie beside."""
