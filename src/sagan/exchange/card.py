"""The card of shared weights: where they come from, what was measured and how, what they cannot do."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sagan.data.names import readable
from sagan.generators.pretrained import EXPORTED
from sagan.generators.trained import TrainedGenerator
from sagan.metrics.report import Report, Value, report_from_json
from sagan.reading import read_named
from sagan.sizes import written

SAMPLES = "samples.png"
NO_LICENCE = "not-chosen-yet"


def measured(run: Path, step: object) -> list[Report]:
    """Read what a run measured at a step; nothing if it did not.

    Raises:
        ValueError: If the file is no report, or too long for one.
    """
    file = run / "evaluations" / f"step-{step if isinstance(step, int) else -1:08d}.json"
    return [report_from_json(read_named(file), str(file))] if file.is_file() else []


def card(generator: TrainedGenerator, reports: Sequence[Report], *, name: str, licence: str | None = None) -> str:
    """Write the card, with the block of facts on top that the Hugging Face Hub reads.

    Args:
        generator: What is shared.
        reports: What was measured of it.
        name: What it is called: a repository or a folder.
        licence: An identifier that the Hub knows, such as ``apache-2.0``; None says that none was chosen.
    """
    config = generator.config
    classes = f"{config.num_classes} classes" if config.num_classes else "no classes"
    places = ", ".join(f"at {k}x{k}" for k in config.attention_positions) or "nowhere"
    parts = [
        _front_matter(licence),
        f"# {plain(name)}",
        f"A self-attention GAN's generator (Zhang et al., 2019) at {written(config.image_size)} px: {classes}, "
        f"attention {places}.",
        f"![samples, a row a class]({SAMPLES})",
        "## Use",
        "```python\nimport sagan  # pip install sagan-torch\n\n"
        f"generator = sagan.load({name!r})\nimages = generator.sample({_call(generator)})  # uint8 (N, H, W, 3)\n```",
        "## Training",
        _training(generator.provenance),
        "## Measured",
        _values(reports),
        "## Limits",
        _limits(generator),
        "## Licence",
        f"{plain(licence)}."
        if licence
        else "The author of these weights has not chosen a licence. Without one, ask before you use "
        "them. The pictures that they were trained on have licences of their own.",
    ]
    if generator.class_names:
        parts += ["## Classes", ", ".join(map(plain, generator.class_names))]
    return "\n\n".join(parts) + "\n"


def plain(text: object) -> str:
    """Write a text from a file so that a page shows it as it stands: neither Markdown nor HTML, and in one line."""
    text = " ".join(readable(str(text)).split())
    text = re.sub(r"([\\`*\[\]~|$#])|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", text)
    text = re.sub(r"^(\d*)([-+=.):])", r"\1\\\2", text)  # what makes a list or a rule of a line
    return re.sub(r"&(?=#?\w)", "&amp;", text).replace("<", "&lt;").replace(">", "&gt;")


def _front_matter(licence: str | None) -> str:
    """Write the facts as YAML, whose values JSON writes."""
    facts: dict[str, Any] = {"library_name": "sagan", "pipeline_tag": "unconditional-image-generation"}
    facts["license"] = licence or "other"
    if licence is None:
        facts["license_name"] = NO_LICENCE
    facts["tags"] = ["gan", "sagan", "self-attention", "image-generation"]
    lines = [f"{key}: {json.dumps(value)}" for key, value in facts.items()]
    return "\n".join(["---", *lines, "---"])


def _call(generator: TrainedGenerator) -> str:
    named = f"classes={generator.class_names[0]!r}, " if generator.class_names else ""
    return f"num=8, {named}seed=0"


def _training(facts: dict[str, object]) -> str:
    data = facts.get("data")
    if isinstance(data, dict):
        pictures = f"{plain(data.get('images', 'unknown'))} pictures, {plain(data.get('source'))}"
    else:
        pictures = "not known"
    unknown = "imported" in facts and facts.get("step") == 0
    lines = [
        f"- Pictures: {pictures}",
        f"- Steps (updates of the generator): {'not known' if unknown else plain(facts.get('step'))}",
        f"- Weights: {plain(facts.get('weights'))}",
        f"- Batch normalisation samples with {plain(facts.get('batch_norm'))}",
    ]
    versions = facts.get("versions")
    if isinstance(versions, dict):
        lines.append(f"- Versions: {', '.join(plain(f'{name} {version}') for name, version in versions.items())}")
    return "\n".join(lines)


def _values(reports: Sequence[Report]) -> str:
    values = [value for report in reports for value in report.values]
    if not values:
        return "Nothing was measured of these weights."
    return "\n".join(_value(value) for value in values)


def _value(value: Value) -> str:
    spread = "" if value.spread is None else f" ± {value.spread:.4g}"
    better = "higher" if value.higher_is_better else "lower"
    protocol = "; ".join(plain(f"{key} {held}") for key, held in value.protocol.items() if held is not None)
    warned = f" Note: {plain('; '.join(map(str, value.warnings)))}." if value.warnings else ""
    return f"- **{plain(value.metric)}** {value.value:.5g}{spread} ({better} is better).{warned} Protocol: {protocol}."


def _limits(generator: TrainedGenerator) -> str:
    known = "these classes" if generator.class_names else "such pictures as it was trained on"
    return (
        f"It draws {known} at {written(generator.config.image_size)} px and nothing else. It was chosen for how "
        "samples look or measure, not checked for what is rare, unfair or private in its pictures: samples can show "
        "faults, and can come close to pictures that it was trained on. Values with other protocols "
        f"than those above cannot be compared with them. `{EXPORTED}` holds numbers and names only; reading it "
        "executes nothing."
    )
