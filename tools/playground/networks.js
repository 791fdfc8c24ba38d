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

let starting = null;
const loading = {};

/** Start ONNX Runtime, once: its module from a blob, its WASM from memory. */
function startRuntime(progress) {
  starting ??= (async () => {
    const { files } = pack.manifest.runtime;
    const module = await unpack("runtime", "module", files.module, progress);
    const wasm = await unpack("runtime", "wasm", files.wasm, progress);
    await addScript("runtime/ort.js");
    const { env } = window.ort;
    env.wasm.numThreads = 1; // more need headers that a file and most servers don't send
    env.wasm.wasmBinary = wasm.buffer;
    env.wasm.wasmPaths = { mjs: URL.createObjectURL(new Blob([module], { type: "text/javascript" })) };
    env.logLevel = "error";
    return window.ort;
  })().catch((error) => {
    starting = null;
    throw error;
  });
  return starting;
}

const RUNTIME_TEXT = () => Object.values(pack.manifest.runtime.files).reduce((sum, file) => sum + file.text, 0);

/** A method's networks as functions of arrays, loaded when first asked for. `onprogress` is told a share 0…1. */
function loadMethod(name, onprogress = () => {}) {
  loading[name] ??= (async () => {
    const { networks, facts } = pack.manifest.models[name];
    let [total, received] = [Object.values(networks).reduce((sum, file) => sum + file.text, 0), 0];
    if (!window.ort) total += RUNTIME_TEXT();
    const progress = (letters) => onprogress(Math.min((received += letters) / total, 1));
    const ort = await startRuntime(progress);
    const sessions = {};
    for (const [part, file] of Object.entries(networks)) {
      const content = await unpack(`models/${name}`, part, file, progress);
      const session = await ort.InferenceSession.create(content, { executionProviders: ["wasm"] });
      sessions[part] = async (inputs) => {
        const feeds = Object.entries(inputs).map(([key, { data, dims }]) => [key, new ort.Tensor("float32", data, dims)]);
        return session.run(Object.fromEntries(feeds));
      };
    }
    return { name, facts, sessions };
  })().catch((error) => {
    delete loading[name];
    throw error;
  });
  return loading[name];
}
