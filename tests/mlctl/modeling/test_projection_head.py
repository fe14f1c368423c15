import torch

from mlctl.modeling.projection_head import ProjectionHead


def test_formula() -> None:
    head = ProjectionHead(2)
    weights = {
        "inner.weight": [[1.0, 0], [0, -1]],
        "inner.bias": [0.5, 0],
        "outer.weight": [[2.0, 1], [0, 3]],
        "outer.bias": [0, 1.0],
    }
    head.load_state_dict({name: torch.tensor(value) for name, value in weights.items()})
    # W1 x + b1 = (1.5, -2) -> relu (1.5, 0) -> W2: (3, 0) + b2 = (3, 1)
    assert head(torch.tensor([[1.0, 2.0]])).tolist() == [[3.0, 1.0]]
