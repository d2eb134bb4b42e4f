// The page: what the user attaches and asks, and what comes back, drawn as it comes.

const $ = (id) => document.getElementById(id);
const [log, form, text, files, model] = ["log", "form", "text", "files", "model"].map($);

let conversation = crypto.randomUUID(); // Of this tab alone.
let attached = []; // {file, url, item, block: once it is uploaded, cancel}
let asking = null; // The AbortController of the question under way.

function element(tag, { parent, ...properties } = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  parent?.append(made);
  return made;
}

const say = (words) => ($("status").textContent = words);

// Lines of JSON, each as soon as it has arrived.
async function* lines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    const found = (rest + read.value).split("\n");
    rest = found.pop();
    yield* found.map((line) => JSON.parse(line));
  }
}

// The models

const models = await (await fetch("models")).json();
for (const { id } of models) element("option", { parent: model, value: id, textContent: id });
model.value = sessionStorage.model ?? models[0].id;

function showMedia() {
  sessionStorage.model = model.value;
  const { media } = models.find(({ id }) => id === model.value);
  $("takes").textContent = `takes ${["text", ...media].join(", ")}`;
}

// Where the model cannot take such a file, one that can is chosen. Returns what to tell the user of that.
function chooseFor(file) {
  const able = models.filter(({ media }) => media.includes(file.type.split("/")[0])).map(({ id }) => id);
  if (!able.length || able.includes(model.value)) return "";
  model.value = able[0];
  showMedia();
  return `Switched to ${able[0]}, which takes such files. `;
}
model.addEventListener("change", showMedia);
showMedia();

// Files

function attach(list) {
  for (const file of list) {
    const item = element("li", { parent: files });
    const entry = { file, item, url: URL.createObjectURL(file), notice: chooseFor(file) };
    element("span", { parent: item, textContent: file.name });
    entry.bar = element("progress", { parent: item, max: 1, value: 0, ariaLabel: `Uploading ${file.name}` });
    const remove = element("button", { parent: item, type: "button", textContent: "×", ariaLabel: `Remove ${file.name}` });
    remove.addEventListener("click", () => detach(entry));
    attached.push(entry);
    upload(entry);
  }
}

function detach(entry) {
  entry.request.abort();
  entry.item.remove();
  attached = attached.filter((one) => one !== entry);
  showReady();
  text.focus();
}

// The first half of the bar is the way to the server of this page, the second that from there to the model's.
function upload(entry) {
  const request = (entry.request = new XMLHttpRequest());
  const failed = (words) => {
    detach(entry);
    showError(`${entry.file.name} was not attached. ${words}`);
  };
  let read = 0;
  const readLines = () => {
    const end = request.responseText.lastIndexOf("\n") + 1;
    const told = request.responseText.slice(read, end).split("\n").filter(Boolean).map((line) => JSON.parse(line));
    read = end;
    for (const event of told) {
      if (event.type === "progress") entry.bar.value = 0.5 + event.share / 2;
      if (event.type === "uploaded") entry.block = event.attachment;
      if (event.type === "error") failed(event.text);
    }
  };
  request.upload.onprogress = ({ loaded, total }) => (entry.bar.value = loaded / total / 2);
  request.onprogress = () => request.status === 200 && readLines();
  request.onload = () => {
    if (request.status !== 200) return failed(`The server answered ${request.status}.`);
    readLines();
    if (!entry.block) return attached.includes(entry) && failed("The upload broke off.");
    entry.bar.remove();
    showReady();
  };
  request.onerror = () => failed("The server cannot be reached.");
  request.open("POST", "upload");
  request.send(entry.file);
  showReady();
}

function showReady() {
  const waiting = attached.some(({ block }) => !block);
  $("send").disabled = waiting;
  const notice = attached.map((entry) => entry.notice).join("");
  if (!asking) say(notice + (waiting ? "Uploading…" : attached.length ? "Attached. Now ask about it." : ""));
}

$("attach").addEventListener("click", () => $("picker").click());
$("picker").addEventListener("change", () => {
  attach($("picker").files);
  $("picker").value = "";
});
text.addEventListener("paste", ({ clipboardData }) => attach(clipboardData.files));
addEventListener("dragover", (event) => {
  event.preventDefault();
  $("drop").hidden = !event.dataTransfer.types.includes("Files");
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) $("drop").hidden = true; // It left the page.
});
addEventListener("drop", (event) => {
  event.preventDefault();
  $("drop").hidden = true;
  attach(event.dataTransfer.files);
});

// The conversation

let follows = true; // Whether the end of the conversation stays in sight.
const follow = () => follows && (log.scrollTop = log.scrollHeight);
log.addEventListener("scroll", () => (follows = log.scrollHeight - log.scrollTop - log.clientHeight < 60));
new ResizeObserver(follow).observe(log);

function article(kind, who) {
  $("hint").hidden = true;
  return element("article", { parent: log, className: kind }, element("h2", { textContent: who }));
}

function showError(words) {
  const shown = article("error", "Error");
  shown.setAttribute("role", "alert");
  element("p", { parent: shown, textContent: words });
  follows = true;
  follow();
}

function showQuestion(words, sent) {
  const shown = article("user", "You");
  if (words) element("p", { parent: shown, textContent: words });
  for (const { file, url, block } of sent) {
    const tag = { image: "img", audio: "audio", video: "video" }[block.type];
    element(tag, { parent: shown, src: url, controls: true, alt: file.name, ariaLabel: file.name });
  }
  follows = true;
  follow();
  return shown;
}

// The little Markdown that models use most: code, and what is bold. Never as HTML.
function formatted(words) {
  const marks = /```(?:\w*\n)?([^]*?)```|`([^`\n]+)`|\*\*(\S(?:[^*\n]*\S)?)\*\*/g;
  const nodes = [];
  let end = 0;
  for (const { 0: all, 1: block, 2: code, 3: bold, index } of words.matchAll(marks)) {
    nodes.push(words.slice(end, index));
    if (bold) nodes.push(element("strong", { textContent: bold }));
    else nodes.push(element("code", { textContent: block ?? code, className: block ? "block" : "" }));
    end = index + all.length;
  }
  return [...nodes, words.slice(end)];
}

// Draws the events of one answer.
class Answer {
  constructor() {
    this.shown = article("model", model.value);
    this.shown.setAttribute("aria-busy", "true"); // Screen readers wait until it is whole.
    this.calls = new Map();
    this.part = null;
  }

  // The paragraph that grows: text, or thoughts, which fold away when something else follows.
  grow(kind, words) {
    if (this.part?.kind !== kind) {
      this.fold();
      const paragraph = element("p");
      const box = kind === "text" ? paragraph : this.details("thoughts", "Thinking…", paragraph);
      this.shown.append(box);
      this.part = { kind, paragraph, box };
    }
    this.part.paragraph.append(words);
  }

  details(className, summary, ...children) {
    return element("details", { className, open: true }, element("summary", { textContent: summary }), ...children);
  }

  fold() {
    if (this.part?.kind === "reasoning") {
      this.part.box.open = false;
      this.part.box.firstChild.textContent = "Thoughts";
    } else if (this.part) {
      this.part.paragraph.replaceChildren(...formatted(this.part.paragraph.textContent.trimEnd()));
    }
    this.part = null;
  }

  draw(event) {
    if (event.type === "text" || event.type === "reasoning") {
      say(event.type === "text" ? "Answering…" : "Thinking…");
      this.grow(event.type, event.text);
    } else if (event.type === "call") {
      this.fold();
      say(`Calling ${event.name}…`);
      const list = element("dl");
      this.shown.append(this.details("tool", event.name, list));
      for (const [name, value] of [["Arguments", event.arguments], ["Result", "…"]]) {
        element("dt", { parent: list, textContent: name });
        element("dd", { parent: list, textContent: value });
      }
      this.calls.set(event.id, list.lastChild);
    } else if (event.type === "result") {
      this.calls.get(event.id).textContent = event.text;
    }
    follow();
  }

  end() {
    this.fold();
    this.shown.removeAttribute("aria-busy");
    if (this.shown.children.length === 1) this.shown.remove();
  }
}

async function ask(words, sent) {
  asking = new AbortController();
  $("stop").hidden = false;
  $("send").hidden = true;
  say("Waiting for the model…");
  const asked = showQuestion(words, sent);
  const answer = new Answer();
  let ending = "The connection to the server broke off.";
  try {
    const response = await fetch("chat", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ conversation, model: model.value, text: words, attachments: sent.map(({ block }) => block) }),
      signal: asking.signal,
    });
    if (!response.ok) throw new Error(`The server answered ${response.status}.`);
    for await (const event of lines(response.body)) {
      if (event.type === "end") ending = "";
      else if (event.type === "error") ending = event.text;
      else answer.draw(event);
    }
  } catch (error) {
    if (asking.signal.aborted) ending = "Stopped.";
    else if (!(error instanceof TypeError)) ending = error.message;
  }
  answer.end();
  const failed = ending && ending !== "Stopped.";
  if (failed) {
    showError(ending);
    text.value ||= words; // To be tried again, perhaps with another model.
    if (!attached.length) giveBack(sent);
    asked.classList.add("failed");
  }
  asking = null;
  $("stop").hidden = true;
  $("send").hidden = false;
  say(failed ? "That did not work." : ending || "Done.");
  text.focus();
}

function giveBack(sent) {
  attached = sent;
  files.append(...sent.map(({ item }) => item));
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const words = text.value.trim();
  if (asking || $("send").disabled || !(words || attached.length)) return;
  const sent = attached;
  attached = [];
  files.replaceChildren();
  text.value = "";
  ask(words, sent);
});
text.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  form.requestSubmit();
});
$("hint").addEventListener("click", ({ target }) => {
  if (target.type !== "button") return;
  text.value = target.textContent;
  form.requestSubmit();
});
addEventListener("keydown", ({ key }) => key === "Escape" && asking?.abort());
$("stop").addEventListener("click", () => asking?.abort());
$("new").addEventListener("click", () => {
  asking?.abort();
  conversation = crypto.randomUUID();
  log.replaceChildren($("hint"));
  $("hint").hidden = false;
  say("");
  text.focus();
});
