"""What a notebook may carry into the repository: its outputs, and nothing that differs from run to
run.
"""

import hashlib
import json
import re

from nbformat import NotebookNode

WIDGET_STATE = "application/vnd.jupyter.widget-state+json"
_MODEL_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")


def strip_volatile(notebook: NotebookNode, name: str) -> NotebookNode:
    """The executed notebook without what changes from one run to the next, so that equal results
    are equal bytes.

    The cell that papermill injects goes, with its timings and the interpreter's version; execution
    counts run from 1; the random ids of widgets become ids that follow from `name` and their place.
    Stripping twice changes nothing. `name` tells one chapter's widgets from another's.
    """
    notebook.cells = [
        cell
        for cell in notebook.cells
        if "injected-parameters" not in cell.metadata.get("tags", [])
    ]
    count = 0
    for cell in notebook.cells:
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
        if cell.cell_type != "code":
            continue
        count += 1
        cell.execution_count = count
        cell.outputs = _joined_streams(cell.outputs)
        for output in cell.outputs:
            output.pop("execution_count", None)
            if output.output_type == "execute_result":
                output.execution_count = count
    widgets = notebook.metadata.get("widgets")
    notebook.metadata = NotebookNode(
        kernelspec=NotebookNode(display_name="Python 3", language="python", name="python3"),
        language_info=NotebookNode(name="python"),
    )
    if widgets and widgets.get(WIDGET_STATE, {}).get("state"):
        notebook.metadata.widgets = widgets
    return _renamed_models(notebook, name)


def _joined_streams(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Neighbouring pieces of one stream made one: where the kernel cuts it is chance."""
    joined: list[NotebookNode] = []
    for output in outputs:
        last = joined[-1] if joined else None
        same = (
            last is not None
            and output.output_type == "stream" == last.output_type
            and output.name == last.name
        )
        if same:
            last.text += output.text
        else:
            joined.append(output)
    return joined


def _renamed_models(notebook: NotebookNode, name: str) -> NotebookNode:
    """The notebook with widgets' random model ids replaced, in the order in which the outputs name
    them.

    Models that no output names (layouts, styles) follow in the order in which other models refer to
    them. What is in the state and reached by neither is an abandoned widget, and is dropped.
    """
    state = notebook.metadata.get("widgets", {}).get(WIDGET_STATE, {}).get("state", {})
    if not state:
        return notebook
    queue = [
        output.data["application/vnd.jupyter.widget-view+json"]["model_id"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "application/vnd.jupyter.widget-view+json" in output.get("data", {})
    ]
    order: list[str] = []
    while queue:
        model = queue.pop(0)
        if model in order or model not in state:
            continue
        order.append(model)
        text = json.dumps(state[model], sort_keys=True)
        queue.extend(child for child in _MODEL_ID.findall(text) if child in state)
    names = {
        model: hashlib.md5(f"{name}/{i}".encode()).hexdigest() for i, model in enumerate(order)
    }
    notebook.metadata.widgets[WIDGET_STATE]["state"] = {model: state[model] for model in order}
    text = _MODEL_ID.sub(lambda match: names.get(match[0], match[0]), json.dumps(notebook))
    return NotebookNode(_as_nodes(json.loads(text)))


def _as_nodes(value: object) -> object:
    if isinstance(value, dict):
        return NotebookNode({key: _as_nodes(item) for key, item in value.items()})
    return [_as_nodes(item) for item in value] if isinstance(value, list) else value
