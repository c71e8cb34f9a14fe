"""Communicators: what the user calls. Each method checks the call, says what it means, and hands it to the session."""
