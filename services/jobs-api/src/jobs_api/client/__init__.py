"""The command `jobs`: talks to the HTTP API alone, never to Redis."""
