"""Backend `openai`: translation by a language model on a server with OpenAI's chat completions API."""
