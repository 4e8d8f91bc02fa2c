"""Settings of a configuration that make agents collapse, told before anything is trained."""

from __future__ import annotations

from training.config import TrainingConfig

MOST_ALPHA = 0.05
"""Of SAC's entropy weight; rewards are divided by their deviation, so that it weighs against rewards of unit size."""

FEW_DECISIONS = 1024
MANY_PASSES = 8
MOST_COST = 5e-4
FEW_ENVIRONMENTS = 16


def advice(config: TrainingConfig) -> list[str]:
    """Sentences about values that have been seen to end in agents that do nothing, or always the same."""
    params, agents = config.training_params, config.agents
    ppo, alpha, exact = agents.strategic_agent, agents.tactical_agent.alpha, params.credit == "exact"
    found = []
    if alpha != "auto" and alpha >= MOST_ALPHA:
        found.append(
            f"agents.tactical_agent.alpha: {alpha:g} outweighs the rewards, so that the tactical agent learns to act "
            "at random; 0.003 has served well"
        )
    if not exact:
        found.append(
            "training_params.credit: account pays every agent for what all of them do: the risk agent tends to "
            "exposure 0, and then nobody has anything to learn; exact rewards each by the difference that it makes"
        )
    few = ppo.rollout_steps < FEW_DECISIONS and ppo.epochs_per_update >= MANY_PASSES
    if few and (not exact or ppo.kl_stop is None):
        found.append(
            f"agents.strategic_agent: {ppo.epochs_per_update} epochs over {ppo.rollout_steps} decisions fit noise, "
            "which favours doing nothing; rollout_steps: 2048, or fewer epochs_per_update"
        )
    elif exact and ppo.kl_stop is None:
        found.append(
            "agents.strategic_agent.kl_stop: null lets an update go on however far the policy has moved; 0.01 ends it"
        )
    cost = config.reward_shaping.transaction_cost
    if cost is not None and cost > MOST_COST:
        found.append(
            f"reward_shaping.transaction_cost: {cost:g} of the notional a fill is more than half an hour of most "
            "markets brings: agents learn not to trade; null takes the instrument's fees"
        )
    if config.training.parallel_envs < FEW_ENVIRONMENTS:
        found.append(
            f"training.parallel_envs: {config.training.parallel_envs} environments take many times as long for the "
            "same episodes as 64, and what is learned from at once is more alike"
        )
    return found
