"""The benchmarks that learn from English examples and are judged in every language: what they read, learn, answer and score."""
