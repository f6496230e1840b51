"""Plausible wrong answers to the exercises, which the contracts must reject; one module an exercise."""
