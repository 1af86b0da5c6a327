"""``etiology/…``: local models for Inspect, from a Hugging Face folder, a .gguf file, or the embedded model by name.

    inspect eval etiology/forced_choice --model etiology/smollm2-135m-instruct
    inspect eval etiology/office --model etiology//data/models/mine -M precision=bfloat16

- Weights are loaded at the first use, once in a process, and let go when the last model that uses them is closed.
- Requests that arrive together are answered as one batch.
- Each output's ``metadata`` holds the prompt as rendered, its token ids and those written, and the seed.
- ``get_model().api.choose(context, continuations)`` gives log-probabilities instead of text.
"""

import hashlib
import json
import os
import secrets
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal
from weakref import WeakValueDictionary

import anyio.to_thread
from inspect_ai._util.error import PrerequisiteError
from inspect_ai.log import transcript
from inspect_ai.log._samples import sample_active
from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessage,
    ChatMessageAssistant,
    ContentText,
    GenerateConfig,
    Logprob,
    Logprobs,
    ModelAPI,
    ModelOutput,
    ModelUsage,
    StopReason,
    TopLogprob,
    modelapi,
)
from inspect_ai.model._model_info import MODEL_INFO_LOOKUP_API_KEY
from inspect_ai.tool import ToolChoice, ToolInfo

from etiology.core.errors import ModelError
from etiology.evals.batching import Batch
from etiology.evals.chat import Chat, Prompt, read_answer

if TYPE_CHECKING:
    from etiology.backends.local import Ask, LocalModel, Precision, Weighed, Written

MAX_TOKENS: Final = 512
"""Tokens an answer may have where none are asked for."""
ROWS: Final = 32
"""Requests under way at a time, where none are asked for; they make one batch."""
NAME: Final = "smollm2-135m-instruct"
"""The embedded model's, as the backends have it; they are not imported before they are needed."""
UNSUPPORTED: Final = ("best_of", "response_schema", "prompt_logprobs", "modalities")
"""Settings that would change what is answered and that this provider can't follow. It says so, and does not go on."""

Choice = tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]
"""Token ids of a prompt and of its continuations."""


class Loaded:
    """A model in memory: how it writes a conversation, and the batch that its requests wait for."""

    def __init__(self, model: "LocalModel") -> None:
        self.model = model
        self.chat = Chat(model.tokenizer)
        self.batch: Batch[Ask | Choice, Written | list[float]] = Batch(self._run, ROWS)

    def tokens(self, text: str) -> list[int]:
        """Token ids of a text alone, without those that begin or end one."""
        return list(self.model.tokenizer(text, add_special_tokens=False).input_ids)

    def spelt(self, token: int) -> str:
        return str(self.model.tokenizer.decode([token]))

    def _run(
        self, requests: Sequence["Ask | Choice"], abandoned: Callable[[int], bool]
    ) -> list["Written | list[float] | Exception"]:
        """Answers in order: texts in batches, choices one after another."""
        out: dict[int, Written | list[float] | Exception] = {}
        asks: dict[int, Ask] = {}
        for place, request in enumerate(requests):
            if isinstance(request, tuple):
                try:
                    out[place] = self.model.choose(*request)
                except ModelError as problem:
                    out[place] = problem
            else:
                asks[place] = request
        places = list(asks)
        found = self.model.write(list(asks.values()), lambda i: abandoned(places[i]))
        out.update(zip(places, found, strict=True))
        return [out[place] for place in range(len(requests))]


_loaded: WeakValueDictionary[tuple[str, str | None, str | None], Loaded] = WeakValueDictionary()
_loading = threading.Lock()


def load(name: str, precision: "Precision | None" = None, device: str | None = None) -> Loaded:
    """The model of this name, read from disk unless this process already holds it."""
    # Before torch is imported: idle threads of OpenMP must sleep. Where others want the cores too, spinning ones made
    # a batch of 8 answers take 69 s instead of 9.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from etiology.backends.local import LocalModel
    from etiology.backends.models import EMBEDDED, folder_of

    with _loading:
        folder = folder_of(name if name == EMBEDDED else str(Path(name).expanduser()))
        key = str(folder.resolve()), precision, device
        found = _loaded.get(key)
        if found is None:
            found = _loaded[key] = Loaded(LocalModel(folder, precision, device))
        return found


@modelapi(name="etiology")
class LocalAPI(ModelAPI):
    """A local model. Inspect makes and drops instances freely, so an instance holds no weights before it is used."""

    def __init__(
        self,
        model_name: str = NAME,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig = GenerateConfig(),  # noqa: B008 - as Inspect's own; it is never changed
        precision: Literal["float32", "bfloat16"] | None = None,
        device: str | None = None,
    ) -> None:
        super().__init__(model_name, base_url, api_key, [], config)
        if precision not in {None, "float32", "bfloat16"}:
            raise PrerequisiteError(f"etiology: precision is {precision!r}; give float32 or bfloat16")
        if api_key != MODEL_INFO_LOOKUP_API_KEY and model_name != NAME and not Path(model_name).expanduser().exists():
            raise PrerequisiteError(
                f"etiology/{model_name}: no such file or folder; give a Hugging Face folder, a .gguf file or '{NAME}' "
                "after 'etiology/' (to score a log anew where its model is not, name another: --model mockllm/model)"
            )
        self._precision = precision
        self._device = device
        self._held: Loaded | None = None

    async def generate(
        self,
        input: list[ChatMessage],  # noqa: A002 - Inspect's name
        tools: list[ToolInfo],
        tool_choice: ToolChoice,
        config: GenerateConfig,
    ) -> ModelOutput:
        """The next turn, with all that attribution needs in the output's metadata."""
        _refuse_unsupported(config)
        loaded = await self._model()
        prompt = loaded.chat.prompt(input, tools, tool_choice)
        ask = _ask(prompt, config)
        written = await loaded.batch.answer(ask)
        if isinstance(written, list):
            raise TypeError("an ask was answered with numbers")
        choice = _choice(loaded, prompt, written, [] if tool_choice == "none" else tools)
        choice.message.model = self.model_name
        return ModelOutput(
            model=self.model_name,
            choices=[choice],
            usage=ModelUsage(
                input_tokens=len(prompt.ids),
                output_tokens=len(written.ids),
                total_tokens=len(prompt.ids) + len(written.ids),
            ),
            metadata={
                "prompt": prompt.text,
                "prompt_tokens": list(prompt.ids),
                "completion_tokens": list(written.ids),
                "seed": ask.seed,
                "temperature": ask.temperature,
            },
        )

    async def choose(
        self, context: str | Sequence[ChatMessage], continuations: Sequence[str], tools: Sequence[ToolInfo] = ()
    ) -> list[tuple[float, int]]:
        """For each continuation its log-probability (nats, summed over tokens) after the context, and its tokens.

        A text is taken as it stands; messages are put into the model's chat format, and where the last is the
        assistant's, the continuation goes on from it. White space at the end of the context goes to the continuations.
        The prompt and all token ids go to the sample's transcript.
        """
        loaded = await self._model()
        prompt = loaded.chat.raw(context) if isinstance(context, str) else loaded.chat.prompt(context, tools)
        ids = tuple(tuple(loaded.tokens(prompt.moved + text)) for text in continuations)
        found = await loaded.batch.answer((prompt.ids, ids))
        if not isinstance(found, list):
            raise TypeError("a choice was answered with a text")
        transcript().info(
            {
                "prompt": prompt.text,
                "prompt_tokens": list(prompt.ids),
                "continuations": [prompt.moved + text for text in continuations],
                "continuation_tokens": [list(own) for own in ids],
                "logprobs": [*found],
            },
            source="etiology",
        )
        return [(logprob, len(own)) for logprob, own in zip(found, ids, strict=True)]

    def close(self) -> None:
        """Let go of the weights; the next use loads them anew, unless another model still holds them."""
        self._held = None

    async def count_text_tokens(self, text: str) -> int:
        return len(await self.tokenize(text))

    async def tokenize(self, text: str) -> list[int]:
        loaded = await self._model()
        return loaded.tokens(text)

    def max_tokens(self) -> int:
        return MAX_TOKENS

    def max_connections(self) -> int:
        return ROWS

    def connection_key(self) -> str:
        return self.model_name

    async def _model(self) -> Loaded:
        """The model in memory; read from disk beside the event loop where it is not there yet."""
        if self._held is None:
            try:
                self._held = await anyio.to_thread.run_sync(load, self.model_name, self._precision, self._device)
            except ModelError as problem:
                raise PrerequisiteError(f"etiology/{self.model_name}: {problem}") from problem
        return self._held


def _refuse_unsupported(config: GenerateConfig) -> None:
    asked = [name for name in UNSUPPORTED if getattr(config, name)]
    if asked:
        raise ModelError(f"etiology's local models have no {', '.join(asked)}; leave it out")
    if (config.num_choices or 1) > 1:
        raise ModelError("etiology's local models give one choice; ask for more epochs")


def _ask(prompt: Prompt, config: GenerateConfig) -> "Ask":
    """The request, with a seed of its own.

    A seed in the config is joined with the sample, its epoch and the prompt: the same evaluation gives the same answers
    again, while the epochs of a sample differ, since otherwise ten of them would be one answer counted ten times.
    """
    from etiology.backends.local import Ask

    seed = secrets.randbits(53)  # a whole number that any reader of a log keeps exactly
    if config.seed is not None:
        sample = sample_active()
        place = (sample.sample.id, sample.epoch) if sample else (None, None)
        drawn = hashlib.sha256(json.dumps([config.seed, *place, prompt.ids]).encode()).digest()
        seed = int.from_bytes(drawn[:8], "big") >> 11
    return Ask(
        ids=prompt.ids,
        max_tokens=max(1, config.max_tokens or MAX_TOKENS),
        seed=seed,
        temperature=1.0 if config.temperature is None else config.temperature,
        top_p=1.0 if config.top_p is None else config.top_p,
        top_k=config.top_k or 0,
        stop=(*prompt.stop, *filter(None, config.stop_seqs or ())),
        frequency_penalty=config.frequency_penalty or 0.0,
        presence_penalty=config.presence_penalty or 0.0,
        bias=config.logit_bias or {},
        logprobs=bool(config.logprobs or config.top_logprobs),
        alternatives=config.top_logprobs or 0,
    )


def _choice(loaded: Loaded, prompt: Prompt, written: "Written", tools: Sequence[ToolInfo]) -> ChatCompletionChoice:
    """The answer as Inspect's message, with its calls."""
    content, calls = read_answer(
        written.text, written.marked, tools, len(prompt.ids), thinking=prompt.text.rstrip().endswith("<think>")
    )
    if prompt.moved and isinstance(content[-1], ContentText):
        content[-1].text = content[-1].text.removeprefix(prompt.moved)
    said = content[0].text if len(content) == 1 and isinstance(content[0], ContentText) else content
    ended: StopReason = "unknown" if written.ended == "abandoned" else written.ended
    weighed = [_logprob(loaded, one) for one in written.weighed]
    return ChatCompletionChoice(
        message=ChatMessageAssistant(content=said, tool_calls=calls or None, source="generate"),
        stop_reason="tool_calls" if calls and ended == "stop" else ended,
        logprobs=Logprobs(content=weighed) if weighed else None,
    )


def _logprob(loaded: Loaded, weighed: "Weighed") -> Logprob:
    text = loaded.spelt(weighed.id)
    likeliest = [
        TopLogprob(token=(own := loaded.spelt(token)), logprob=logprob, bytes=list(own.encode()))
        for token, logprob in weighed.likeliest
    ]
    return Logprob(token=text, logprob=weighed.logprob, bytes=list(text.encode()), top_logprobs=likeliest or None)
