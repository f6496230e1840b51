// Shows what the session tells (see session.py): its progress, then one widget or picture as large as it fits.
const find = (selector) => document.querySelector(selector);
const stage = find("#stage");
const PAGE = crypto.randomUUID();

// ---- size and colours: a widget is drawn as for a notebook, and the page zooms it -------------------------------

const NARROW = 640; // CSS pixels of a widget at the largest zoom
const pixels = Object.getOwnPropertyDescriptor(window, "devicePixelRatio").get.bind(window);
let zoom = 1;
Object.defineProperty(window, "devicePixelRatio", { get: () => pixels() * zoom }); // or canvases become blurred

function setZoom(value) {
  zoom = value;
  stage.style.zoom = value;
}

function fit() { // smaller until nothing is cut; a widget that gets wider may get lower
  const room = find("main").clientHeight, height = stage.scrollHeight * zoom;
  if (stage.hidden || !stage.firstChild?.classList?.contains("widget")) return;
  if (height > room + 1 && zoom > 0.5) setZoom(zoom * Math.max(0.8, Math.min(0.99, room / height)));
}

function fitAnew() {
  setZoom(Math.max(1, find("main").clientWidth / NARROW));
}

function setDark(dark) {
  document.body.dataset.jpThemeLight = String(!dark);
  find("#theme").textContent = dark ? "Light" : "Dark";
}

const system = matchMedia("(prefers-color-scheme: dark)");
system.addEventListener("change", () => setDark(system.matches));
setDark(system.matches);
find("#theme").onclick = () => setDark(document.body.dataset.jpThemeLight === "true");
find("#full").onclick = () => (document.fullscreenElement ? document.exitFullscreen() : document.body.requestFullscreen());
find("#full").hidden = !document.fullscreenEnabled;
window.addEventListener("resize", fitAnew);
new ResizeObserver(fit).observe(stage);

// ---- a widget's model, as anywidget's modules expect it -------------------------------------------------------------

class Model {
  #state;
  #set = {};
  #listeners = [];
  #send;

  constructor(state, send) {
    this.#state = state;
    this.#send = send;
  }

  get(name) {
    return this.#state[name];
  }

  set(name, value) {
    this.#set[name] = value;
    this.update({ [name]: value });
  }

  save_changes() {
    if (Object.keys(this.#set).length) this.#send(this.#set);
    this.#set = {};
  }

  on(event, listener) {
    this.#listeners.push([event, listener]);
  }

  off(event, listener) {
    this.#listeners = this.#listeners.filter(([name, known]) => name !== event || (listener && known !== listener));
  }

  update(state) {
    Object.assign(this.#state, state);
    const events = [...Object.keys(state).map((name) => `change:${name}`), "change"];
    events.forEach((event) => this.#listeners.filter(([name]) => name === event).forEach(([, listener]) => listener()));
  }
}

function withBytes(value) { // {"base64": …} → DataView
  if (Array.isArray(value)) return value.map(withBytes);
  if (value === null || typeof value !== "object") return value;
  if (typeof value.base64 === "string") {
    return new DataView(Uint8Array.from(atob(value.base64), (letter) => letter.charCodeAt(0)).buffer);
  }
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withBytes(item)]));
}

// ---- events -----------------------------------------------------------------------------------------------------------

const address = new URL("talk", location.href);
address.protocol = "ws:";
const socket = new WebSocket(address);
let shown = null; // { id, model }

const handlers = {
  progress({ text, done }) {
    find("#progress p").textContent = text;
    find("#progress progress").value = done;
  },

  async widget({ model: id, state }) {
    const send = (changes) => socket.send(JSON.stringify({ model: id, state: changes, page: PAGE }));
    shown = { id, model: new Model(withBytes(state), send) };
    const style = document.createElement("style");
    style.textContent = state._css ?? "";
    document.head.prepend(style); // the page's own rules come after it
    const code = URL.createObjectURL(new Blob([state._esm], { type: "text/javascript" }));
    const module = (await import(code)).default;
    const { initialize, render } = typeof module === "function" ? await module() : module;
    await initialize?.({ model: shown.model });
    const el = document.createElement("div");
    el.className = "widget";
    show(el);
    fitAnew();
    await render?.({ model: shown.model, el });
  },

  state({ model, state, by }) {
    if (shown?.id === model && by !== PAGE) shown.model.update(withBytes(state));
  },

  picture({ mime, data }) {
    const image = document.createElement("img");
    const svg = mime === "image/svg+xml";
    image.src = svg ? URL.createObjectURL(new Blob([data], { type: mime })) : `data:${mime};base64,${data}`;
    image.alt = document.title;
    stage.style.height = "100%";
    show(image);
  },

  failed({ text, advice, details }) {
    const [title, help, said] = ["h2", "p", "pre"].map((tag) => find(`#failed ${tag}`));
    [title.textContent, help.textContent, said.textContent] = [text, advice, details];
    find("#failed details").hidden = !details;
    only("#failed");
  },
};

function only(section) {
  ["#progress", "#failed", "#stage"].forEach((name) => (find(name).hidden = name !== section));
}

function show(node) {
  stage.replaceChildren(node);
  only("#stage");
}

function fail(text, advice, details = "") {
  handlers.failed({ text, advice, details });
}

socket.onmessage = async ({ data }) => {
  const event = JSON.parse(data);
  try {
    await handlers[event.kind](event);
  } catch (error) {
    fail("The browser could not show the demo.", "Try another browser, or a newer one.", String(error.stack ?? error));
  }
};
socket.onclose = () => {
  if (find("#failed").hidden) fail("The demo has been stopped.", `To start it again: ragcourse demo ${document.body.dataset.demo}`);
};
