"""What an evaluation takes, before it runs: texts, tokens, operations, time, energy, disk and memory.

    Sample (texts of a dataset, or such as its card describes) -> lengths in tokens -> operations -> Rates -> Forecast

Nothing is retrieved or scored for it. The same forecast goes into the manifest beside what the stages really took.
"""
