"""The encoder of the known track: tracks and polylines to tokens, and an ego query that attends to them.

As in VectorNet (arXiv 2005.04259) each polyline and each track becomes one token by a small network of its own; instead
of a graph between all of them, the ego and the agents attend to everything, which costs a fraction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from openpair.datatypes.columns import NUM_HISTORY_FRAMES, NUM_POSES, AgentCategory
from openpair.datatypes.known_input import KNOWN_FEATURES
from openpair.nn.surroundings import Surroundings, constant_velocity
from openpair.nn.trunk_config import VectorTrunkConfig

STATUS_SIZE = 8
TRACK_NUMBERS = NUM_HISTORY_FRAMES * 7 + 2 + len(AgentCategory)
LANE_NUMBERS, EDGE_NUMBERS = 5, 0
PLACE_NUMBERS = 4
"""Where a piece lies: x, y of its middle, cosine and sine of its direction."""


@dataclass(frozen=True)
class VectorOutput:
    """What the encoder yields.

    Attributes:
        queries: (B, 1 + A, D) the ego's, then the agents'.
        queries_there: (B, 1 + A) bool; False for padding.
        keyval: (B, A + L + E + 1, D) tokens of agents, lanes, edges and the status.
        keyval_there: (B, A + L + E + 1) bool.
        agents_now: (B, A, 5) x, y [m], heading [rad], velocity x, y [m/s], ego rear-axle frame.
        surroundings: the same truth for looks from a plan's poses; agents go on at constant velocity.
    """

    queries: Tensor
    queries_there: Tensor
    keyval: Tensor
    keyval_there: Tensor
    agents_now: Tensor
    surroundings: Surroundings


class VectorEncoder(nn.Module):
    """Features of :mod:`openpair.features.known` and the status -> tokens, queries and a forecast of the agents."""

    reads = frozenset({*KNOWN_FEATURES, "status_feature"})

    def __init__(self, config: VectorTrunkConfig) -> None:
        super().__init__()
        self.config = config
        d, shape = config.d_model, 2 * config.points
        self.track_encoder = _mlp(TRACK_NUMBERS, d)
        self.lane_encoder = _mlp(shape + PLACE_NUMBERS + LANE_NUMBERS, d)
        self.edge_encoder = _mlp(shape + PLACE_NUMBERS + EDGE_NUMBERS, d)
        self.status_encoder = nn.Linear(STATUS_SIZE, d)
        self.ego_query = nn.Parameter(torch.randn(d) * d**-0.5)
        layer = nn.TransformerDecoderLayer(d, config.heads, config.d_ffn, config.dropout, batch_first=True)
        self.decoder = nn.TransformerDecoder(layer, config.layers)
        last = nn.Linear(d, NUM_POSES * 3)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.forecast_head = nn.Sequential(nn.Linear(d, d), nn.ReLU(), last)

    def forward(self, features: Mapping[str, Tensor]) -> VectorOutput:
        """Features by name -> tokens and queries."""
        surroundings = Surroundings.of_features(features)
        agents_there = features["known_agent_seen"][..., -1]
        tracks = self.track_encoder(track_numbers(features))
        lanes = self.lane_encoder(torch.cat((place(surroundings.lanes), lane_kinds(surroundings.lane_kinds)), dim=-1))
        edges = self.edge_encoder(place(surroundings.edges))
        status = self.status_encoder(scaled_status(features["status_feature"]))[:, None]
        keyval = torch.cat((tracks, lanes, edges, status), dim=1)
        one = torch.ones_like(agents_there[:, :1])
        there = torch.cat((agents_there, surroundings.lanes_there, surroundings.edges_there, one), dim=1)
        queries = torch.cat((self.ego_query + status, tracks), dim=1)
        queries_there = torch.cat((one, agents_there), dim=1)
        decoded = self.decoder(queries, keyval, tgt_key_padding_mask=~queries_there, memory_key_padding_mask=~there)
        return VectorOutput(decoded, queries_there, keyval, there, features["known_agents"][:, :, -1], surroundings)

    def forecast(self, output: VectorOutput) -> Tensor:
        """(B, A, 8, 3) x [m], y [m], heading [rad] of the agents' next 4 s, ego rear-axle frame: what the network
        changes of going on at constant velocity, in each agent's own axes."""
        now = output.agents_now
        change = self.forecast_head(output.queries[:, 1:]).unflatten(-1, (NUM_POSES, 3)).float()
        c, s = now[..., 2, None].cos(), now[..., 2, None].sin()
        along, across, turn = (3.0 * change[..., 0], change[..., 1], 0.3 * change[..., 2])
        moved = torch.stack((c * along - s * across, s * along + c * across, turn), dim=-1)
        return constant_velocity(now) + moved


def forecast_loss(forecast: Tensor, future: Tensor, seen: Tensor, count: Tensor | None = None) -> Tensor:
    """Mean distance (Huber, 1 m) between forecasts (B, A, 8, 3) and what agents did, where it was seen (B, A, 8).

    Where the batch is a part of one, ``count`` is the mean number of poses seen of parts.
    """
    error = F.smooth_l1_loss(forecast[..., :2], future[..., :2], reduction="none").sum(dim=-1)
    turn = 1.0 - (forecast[..., 2] - future[..., 2]).cos()
    return ((error + turn) * seen).sum() / (seen.sum().clamp(min=1) if count is None else count)


def track_numbers(features: Mapping[str, Tensor]) -> Tensor:
    """(B, A, :data:`TRACK_NUMBERS`): state at each frame, size and category of each agent."""
    agents, seen, kinds = (features[f"known_agent{name}"] for name in ("s", "_seen", "_kinds"))
    x, y, heading, vx, vy = agents.unbind(dim=-1)
    present = seen.to(agents.dtype)
    states = torch.stack((x / 30, y / 30, heading.cos(), heading.sin(), vx / 10, vy / 10, torch.ones_like(x)), dim=-1)
    categories = F.one_hot(kinds[..., 2].long(), len(AgentCategory)).to(agents.dtype)
    size = torch.stack((kinds[..., 0] / 5, kinds[..., 1] / 2), dim=-1)
    return torch.cat(((states * present[..., None]).flatten(2), size, categories), dim=-1)


def place(pieces: Tensor) -> Tensor:
    """Pieces (B, N, P, 2) -> (B, N, 2 P + :data:`PLACE_NUMBERS`): their points in the frame of their middle, and that
    frame in the ego's."""
    middle = pieces[:, :, pieces.shape[2] // 2]
    chord = pieces[:, :, -1] - pieces[:, :, 0]
    direction = chord / chord.norm(dim=-1, keepdim=True).clamp(min=1e-3)
    c, s = direction[..., 0, None], direction[..., 1, None]
    x, y = (pieces - middle[:, :, None]).unbind(dim=-1)
    own = torch.stack((c * x + s * y, c * y - s * x), dim=-1) / 6
    return torch.cat((own.flatten(2), middle / 30, direction), dim=-1)


def lane_kinds(kinds: Tensor) -> Tensor:
    """(B, L, 5) with the limit [m/s] scaled."""
    return torch.cat((kinds[..., :4], kinds[..., 4:] / 15), dim=-1)


def scaled_status(status: Tensor) -> Tensor:
    """Status feature (B, 8) at about unit size: command as it is, velocity / 10, acceleration / 4."""
    return status / status.new_tensor([1.0, 1.0, 1.0, 1.0, 10.0, 10.0, 4.0, 4.0])


def _mlp(inputs: int, d: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, d), nn.ReLU(), nn.Linear(d, d), nn.LayerNorm(d))
