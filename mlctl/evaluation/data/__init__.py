"""What models are judged on: files of benchmarks and held-out pairs."""
