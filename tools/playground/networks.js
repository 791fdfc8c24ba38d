// The runtime and the networks, which come as scripts: a page that was opened from a file may not fetch anything.

const pack = (window.cropnbPlayground ??= { manifest: { runtime: null, models: {} } });
const base = new URL(".", document.currentScript.src).href;
const arrived = {};
pack.arrive = (key, part, text) => ((arrived[key] ??= [])[part] = text);

function addScript(path) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = base + path;
    script.onload = () => (script.remove(), resolve());
    script.onerror = () => (script.remove(), reject(new PhotoError(`${path} could not be loaded: build the book again with “make book”`)));
    document.head.append(script);
  });
}

/** The bytes of a packed file; `progress` is told of each part's size as it arrives. */
async function unpack(folder, name, { parts }, progress) {
  const key = `${folder.split("/").pop()}/${name}`;
  for (let part = 0; part < parts; part += 1) {
    await addScript(`${folder}/${name}-${part}.js`);
    progress(arrived[key][part].length);
  }
  const pieces = arrived[key].map((text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)));
  delete arrived[key];
  const stream = new Blob(pieces).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

const starting = {};
const started = new Set();
const loading = {};

/** Start ONNX Runtime, once a kind ("runtime" computes with WASM, "gpu" with WebGPU): its module from a blob, its WASM from memory. */
function startRuntime(kind, progress) {
  starting[kind] ??= (async () => {
    const { files } = pack.manifest[kind];
    const module = await unpack(kind, "module", files.module, progress);
    const wasm = await unpack(kind, "wasm", files.wasm, progress);
    await addScript(`${kind}/ort.js`);
    const { ort } = window; // the other kind's script will put its own there
    const { env } = ort;
    env.wasm.numThreads = 1; // more need headers that a file and most servers don't send
    env.wasm.wasmBinary = wasm.buffer;
    env.wasm.wasmPaths = { mjs: URL.createObjectURL(new Blob([module], { type: "text/javascript" })) };
    env.logLevel = "error";
    started.add(kind);
    return ort;
  })().catch((error) => {
    delete starting[kind];
    throw error;
  });
  return starting[kind];
}

/** How many letters are yet to come before a method can be asked. */
function lettersOf(name, kind) {
  const files = [...Object.values(pack.manifest.models[name].networks), ...(started.has(kind) ? [] : Object.values(pack.manifest[kind].files))];
  return files.reduce((sum, file) => sum + file.text, 0);
}

let last = Promise.resolve();

/** One network at a time: a graphics card's runtime takes no second question before it has answered the first. */
function inTurn(work) {
  const answer = last.then(work);
  last = answer.catch(() => {});
  return answer;
}

/** A method's networks as functions of arrays, loaded when first asked for. `onprogress` is told a share 0…1. */
function loadMethod(name, onprogress = () => {}, kind = "runtime") {
  const key = `${kind}/${name}`;
  loading[key] ??= (async () => {
    const { networks, facts } = pack.manifest.models[name];
    const total = lettersOf(name, kind);
    let received = 0;
    const progress = (letters) => onprogress(Math.min((received += letters) / total, 1));
    await startRuntime(kind, progress);
    const sessions = {};
    for (const [part, file] of Object.entries(networks)) {
      const content = await unpack(`models/${name}`, part, file, progress);
      const begin = async (where) => {
        const ort = await startRuntime(where, progress);
        const executionProviders = [where === "gpu" ? "webgpu" : "wasm"];
        return [ort, await inTurn(() => ort.InferenceSession.create(content, { executionProviders }))];
      };
      // What a graphics card can't compute, such as double precision, the processor does.
      const [ort, session] = await begin(kind).catch((error) => (kind === "gpu" ? begin("runtime") : Promise.reject(error)));
      sessions[part] = async (inputs) => {
        const feeds = Object.entries(inputs).map(([key, { data, dims }]) => [key, new ort.Tensor("float32", data, dims)]);
        return inTurn(() => session.run(Object.fromEntries(feeds)));
      };
    }
    return { name, key, facts, sessions };
  })().catch((error) => {
    delete loading[key];
    throw error;
  });
  return loading[key];
}
