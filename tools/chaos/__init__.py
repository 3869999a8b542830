"""`make chaos`: the real processes under kills, pauses and a mail service that misbehaves; then the count."""
