"""The cost of an evaluation before it runs: texts, tokens, operations, time, energy, disk and memory.

    TextSample (texts of a dataset, or made up after its card) -> lengths in tokens -> operations -> Machine -> Forecast

Nothing is retrieved or scored for it, and nothing is learnt from runs.
"""
