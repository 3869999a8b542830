"""Contracts of the job and notification platform: what travels, what is stored, what is asked for."""
