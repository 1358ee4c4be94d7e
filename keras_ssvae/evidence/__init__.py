"""What the labels say of every row's class: experts, each judged by labels that it was not shown, and their joint opinion."""

__all__ = []
