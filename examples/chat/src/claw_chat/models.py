"""The models that answers may come from: who serves each, what it costs, and who steps in when it fails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from claw_exporter import Price


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One model.

    Attributes:
        name: As the model server knows it.
        provider: Who runs it; a label on every AI metric.
        price: US dollars for a million tokens; ``None`` where nobody has told us.
        fallback: Name of the model to ask when this one fails.
        context_tokens: How many tokens prompt and answer may have together.
    """

    name: str
    provider: str
    price: Price | None = None
    fallback: str | None = None
    context_tokens: int = 128_000


EMBEDDING_MODEL: Final = Model(name="embedding-3", provider="zhipu", price=Price(input=0.07, output=0.0))
CHAT_MODELS: Final = {
    model.name: model
    for model in (
        Model(
            name="glm-4",
            provider="zhipu",
            price=Price(input=0.6, output=2.2, cache_read=0.11),
            fallback="glm-4-flash",
        ),
        Model(name="glm-4-flash", provider="zhipu", price=Price(input=0.06, output=0.2)),
        Model(
            name="gpt-4o-mini",
            provider="openai",
            price=Price(input=0.15, output=0.6, cache_read=0.075),
            fallback="glm-4-flash",
        ),
        Model(
            name="claude-haiku-4",
            provider="anthropic",
            price=Price(input=1.0, output=5.0, cache_read=0.1, cache_write=1.25),
            context_tokens=200_000,
            fallback="glm-4",
        ),
        Model(
            name="deepseek-reasoner",
            provider="deepseek",
            price=Price(input=0.55, output=2.19, cache_read=0.14),
            fallback="glm-4",
        ),
        # Runs on our own machines, so nobody sends a bill. Without a price its tokens would be unpriced.
        Model(name="qwen-lab", provider="local", price=Price(input=0.0, output=0.0), fallback="glm-4-flash"),
        # Retired by its maker, and nobody has set a fallback: asking for it fails.
        Model(name="glm-3-turbo", provider="zhipu", price=Price(input=0.14, output=0.14)),
    )
}

PRICE_LIST: Final = "2026-11"
DAILY_BUDGET_USD: Final = 20.0
MONTHLY_BUDGET_USD: Final = 1000.0
CONTEXT_WINDOWS: Final = {model.name: model.context_tokens for model in CHAT_MODELS.values()}
PROVIDERS: Final = {model.name: model.provider for model in (*CHAT_MODELS.values(), EMBEDDING_MODEL)}
PRICES: Final = {
    model.name: model.price for model in (*CHAT_MODELS.values(), EMBEDDING_MODEL) if model.price is not None
}


def provider_of(name: str) -> str:
    """Return who runs the model called ``name``; ``unknown`` where we have no such model."""
    return PROVIDERS.get(name, "unknown")
