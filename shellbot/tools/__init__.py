"""Commands of the shell for those who write a bot, one module each."""
