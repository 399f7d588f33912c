"""All dashboards, in the order in which their links are shown.

In: nothing. Out: boards.
Pure: values only.
"""

from boards import agent_cost, connections, data_quality, rollout


def everything():
    """Every dashboard."""
    return [agent_cost.board(), data_quality.board(), connections.board(), rollout.board()]
