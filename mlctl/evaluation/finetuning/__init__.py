"""Fine-tuning on English examples: data formats, features, training and prediction."""
