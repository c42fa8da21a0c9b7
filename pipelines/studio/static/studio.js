// The page's script: sends photos and clicks, asks for the state as long as something is under way, and shows it.
import { photoItem, shootSection, words } from "./show.js";

const at = (id) => document.getElementById(id);
const form = at("brief");
const KINDS = ["person", "clothes", "background"];
const ASK_MS = 400, ASK_AGAIN_MS = 2000;
let state = null, waiting = 0, timer = 0, told = new Map(), viewed = null, opener = null;

// ---- talking to the page's own address

async function ask(method, address, body, headers = {}) {
  let answer;
  try {
    answer = await fetch(address, { method, body, headers, credentials: "same-origin" });
  } catch {
    throw new Error("the page does not answer -- is it still running?");
  }
  const said = await answer.json().catch(() => ({ problem: `the page answered ${answer.status}` }));
  if (answer.ok) return said;
  throw new Error(said.remedy ? `${said.problem} -- ${said.remedy}` : said.problem);
}

async function refresh() {
  clearTimeout(timer);
  try {
    state = await ask("GET", "/api/state");
    show();
    if (state.busy || waiting) timer = setTimeout(refresh, ASK_MS);
  } catch (error) {
    complain(error.message);
    if (state && state.busy) timer = setTimeout(refresh, ASK_AGAIN_MS);
  }
}

function complain(text) {
  at("problem").textContent = text || "";
  at("problem").hidden = !text;
}

function tell(text) {
  at("said").textContent = text;
}

// ---- photos

async function bring(kind, files) {
  complain("");
  for (const file of files) {
    const most = Number(form.dataset.most);
    waiting += 1;
    tell(`${file.name} is being sent`);
    try {
      if (file.size > most) throw new Error(`larger than the ${Math.round(most / 1e6)} MB that a photo may have`);
      await ask("POST", `/api/photos/${kind}`, file, { "X-Name": encodeURIComponent(file.name),
                                                       "Content-Type": "application/octet-stream" });
    } catch (error) {
      complain(`${file.name}: ${error.message}`);
    }
    waiting -= 1;
    await refresh();
  }
}

for (const drop of document.querySelectorAll(".drop")) {
  const input = drop.querySelector("input"), kind = drop.dataset.kind;
  input.addEventListener("change", () => { bring(kind, [...input.files]).then(() => { input.value = ""; }); });
  drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    bring(kind, [...event.dataTransfer.files]);
  });
}
// A photo dropped beside the field is one of the person, and never leads away from the page.
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  if (event.defaultPrevented) return;
  event.preventDefault();
  bring("person", [...event.dataTransfer.files]);
});
addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) bring("person", [...event.clipboardData.files]);
});

async function removePhoto(id) {
  try {
    await ask("DELETE", `/api/photos/${id}`);
    at("file-person").focus();
  } catch (error) { complain(error.message); }
  refresh();
}

// ---- choices

const chosen = (name) => form.elements[name].value;
const poses = () => [...document.querySelectorAll('#poses input[name="pose"]:checked')].map((box) => box.value);
const good = (kind) => state ? state.photos.filter((photo) => photo.kind === kind && photo.state === "good") : [];

function wish() {
  const named = chosen("poses") === "named" ? poses() : [];
  return {
    poses: named, tag: named.length ? "" : at("tag").value, count: Number(at("count").value), clothes: chosen("clothes"),
    consent: at("consent").checked, background: chosen("background"),
    size: chosen("size") ? Number(chosen("size")) : null, version: at("version").value,
  };
}

function lacking(asked) {
  if (!state || !state.model.ready) return state && state.model.problem ? state.model.problem : "The model is being loaded …";
  if (state.photos.some((photo) => ["waiting", "looking"].includes(photo.state))) return "Looking at the photos …";
  if (!good("person").length) return "Bring a photo first.";
  if (chosen("poses") === "named" && !asked.poses.length) return "Pick a pose first.";
  if (asked.clothes === "photos" && !good("clothes").length) return "Bring a photo of the clothes first.";
  if (asked.clothes === "photos" && !asked.consent) return "Confirm that whoever wears the clothes agrees.";
  if (asked.background === "picture" && !good("background").length) return "Bring a picture for the background first.";
  return "";
}

function showChoices() {
  const asked = wish(), number = asked.poses.length || asked.count;
  at("under-fitting").hidden = chosen("poses") !== "fitting";
  at("under-clothes").hidden = asked.clothes !== "photos";
  at("under-background").hidden = asked.background !== "picture";
  const tag = asked.tag ? `${asked.tag.replaceAll("-", " ")}, ` : "";
  at("said-poses").textContent = chosen("poses") === "named" ? `${asked.poses.length} picked` : `${tag}chosen for you`;
  at("said-clothes").textContent = { own: "their own", photos: "somebody else’s", random: "random" }[asked.clothes];
  at("said-background").textContent = { studio: "studio wall", transparent: "transparent", picture: "your picture" }[asked.background];
  at("said-size").textContent = asked.size ? `${asked.size} px` : state && state.supported ? `${state.supported} px` : "what the photos support";
  at("picked").textContent = poses().length ? `${poses().length} picked.` : "";
  const working = state && state.shoots.find((shoot) => ["waiting", "painting"].includes(shoot.state));
  const more = state && state.shoots.length ? " more" : "";
  const go = at("go"), lacks = working ? "" : lacking(asked);
  go.textContent = working ? "Stop" : `Take ${words(number)}${more} picture${number === 1 ? "" : "s"}`;
  go.classList.toggle("stop", Boolean(working));
  go.disabled = Boolean(lacks);
  const queue = state && state.queue > 1 ? `${state.queue} photoshoots are in the queue.` : "";
  at("hint").textContent = lacks || (working ? "" : queue);
}

form.addEventListener("change", () => { complain(""); showChoices(); });
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  complain("");
  const working = state && state.shoots.find((shoot) => ["waiting", "painting"].includes(shoot.state));
  try {
    if (working) {
      await ask("POST", `/api/shoots/${working.id}/stop`);
    } else {
      at("go").disabled = true;
      await ask("POST", "/api/shoots", JSON.stringify(wish()), { "Content-Type": "application/json" });
      tell("The pictures are being painted.");
      if (matchMedia("(max-width: 899px)").matches) at("results").scrollIntoView({ behavior: "smooth" });
    }
  } catch (error) { complain(error.message); }
  await refresh();
  showChoices();
});
at("version").addEventListener("change", showChoices);

// ---- poses

at("open-poses").addEventListener("click", () => {
  form.elements.poses.value = "named";
  at("poses").showModal();
});
at("poses").addEventListener("change", (event) => {
  if (event.target.id === "pose-tag") {
    const tag = event.target.value;
    for (const item of document.querySelectorAll(".poses li")) {
      item.hidden = Boolean(tag) && !item.dataset.tags.split(" ").includes(tag);
    }
  }
  showChoices();
});
at("poses").addEventListener("close", () => {
  if (!poses().length) form.elements.poses.value = "fitting";
  showChoices();
});
at("no-poses").addEventListener("click", () => {
  for (const box of document.querySelectorAll('#poses input[name="pose"]')) box.checked = false;
  showChoices();
});

// ---- the viewer

function open(shoot, place, button) {
  opener = button || opener;
  viewed = { shoot, place };
  showViewed();
  if (!at("viewer").open) at("viewer").showModal();
}

function showViewed() {
  const shoot = state.shoots.find((one) => one.id === viewed.shoot);
  const picture = shoot && shoot.pictures[viewed.place];
  if (!picture) { at("viewer").close(); return; }
  at("viewer-title").textContent = `${picture.title}, ${viewed.place + 1} of ${shoot.pictures.length}`;
  const source = state.photos.find((photo) => photo.id === picture.source);
  at("viewer-photo").closest("figure").hidden = !source;
  if (source) {
    at("viewer-photo").src = `/photos/${source.id}/plain.webp`;
    at("viewer-photo").alt = `Your photo ${source.name}`;
  }
  at("viewer-picture").src = `/pictures/${picture.id}/large.png`;
  at("viewer-picture").alt = `The picture: ${picture.title}`;
  at("viewer-picture").classList.toggle("clear", picture.transparent);
  const alike = picture.likeness === null ? "" : `; likeness of the face ${picture.likeness.toFixed(2)}${picture.alike ? "" : ", which is unlike"}`;
  at("viewer-said").textContent = `${shoot.size} px, generated by ${shoot.version}${alike}`;
  at("download").href = `/pictures/${picture.id}/download`;
  at("before").disabled = viewed.place === 0;
  at("next").disabled = viewed.place === shoot.pictures.length - 1;
}

function turn(by) {
  const shoot = state.shoots.find((one) => one.id === viewed.shoot), to = viewed.place + by;
  if (!shoot || to < 0 || to >= shoot.pictures.length) return;
  viewed.place = to;
  showViewed();
}

at("before").addEventListener("click", () => turn(-1));
at("next").addEventListener("click", () => turn(1));
at("viewer").addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft") turn(-1);
  if (event.key === "ArrowRight") turn(1);
});
at("viewer").addEventListener("close", () => { if (opener && opener.isConnected) opener.focus(); });
at("same-pose").addEventListener("click", () => {
  const picture = state.shoots.find((one) => one.id === viewed.shoot).pictures[viewed.place];
  for (const box of document.querySelectorAll('#poses input[name="pose"]')) box.checked = box.value === picture.name;
  form.elements.poses.value = "named";
  opener = at("go");
  at("viewer").close();
  showChoices();
  tell(`The pose is picked: ${picture.title}. Choose other clothes or another background, and click the button.`);
});
for (const button of document.querySelectorAll("[data-close]")) {
  button.addEventListener("click", () => button.closest("dialog").close());
}

// ---- showing

function show() {
  showModels();
  for (const kind of KINDS) {
    const list = document.querySelector(`.photos[data-kind="${kind}"]`);
    keep(list, state.photos.filter((photo) => photo.kind === kind), (photo, item) => photoItem(photo, item, removePhoto));
  }
  keep(at("shoots"), state.shoots, (shoot, section) => shootSection(shoot, section, { open, remove: removeShoot }));
  at("welcome").hidden = state.shoots.length > 0;
  showNotes();
  showChoices();
  announce();
  if (at("viewer").open) showViewed();
}

// One child for each thing, made once and brought up to date, so that focus stays where it is.
function keep(list, things, make) {
  const there = new Map([...list.children].map((child) => [child.dataset.id, child]));
  things.forEach((thing, place) => {
    const child = make(thing, there.get(thing.id) || null);
    child.dataset.id = thing.id;
    there.delete(thing.id);
    if (list.children[place] !== child) list.insertBefore(child, list.children[place] || null);
  });
  for (const child of there.values()) child.remove();
}

function showModels() {
  const select = at("version"), { choices, problem } = state.model;
  const key = JSON.stringify(choices);
  if (choices.length && select.dataset.key !== key) {
    const value = select.dataset.key ? select.value : "";
    select.replaceChildren(...choices.map((choice) => new Option(choice.label, choice.value)));
    select.value = choices.some((choice) => choice.value === value) ? value : "";
    select.dataset.key = key;
    select.disabled = false;
  } else if (!choices.length && problem) {
    select.replaceChildren(new Option("no model yet"));
  }
}

function showNotes() {
  const found = good("person").length;
  const fine = found && !state.notes.length && state.supported
    ? [`Everything is there: pictures of ${state.supported} px, in all poses.`] : [];
  const lines = [...state.notes.map((text) => [text, "" ]), ...fine.map((text) => [text, "fine"])];
  const key = JSON.stringify(lines), notes = at("person-notes");
  if (notes.dataset.key === key) return;
  notes.dataset.key = key;
  notes.replaceChildren(...lines.map(([text, kind]) => {
    const line = document.createElement("p");
    line.textContent = text[0].toUpperCase() + text.slice(1) + (/[.?!]$/.test(text) ? "" : ".");
    line.className = kind;
    return line;
  }));
  at("supported").textContent = state.supported ? `What the photos support: ${state.supported} px` : "What the photos support";
}

// What has changed since it was last said, for whoever does not see it.
function announce() {
  for (const photo of state.photos) {
    const now = photo.state;
    if (told.get(photo.id) !== now && ["good", "refused"].includes(now)) {
      tell(now === "good" ? `${photo.name}: ${photo.kind === "background" ? "the picture can be used" : "a person is found"}`
        : `${photo.name} cannot be used: ${photo.problem}`);
    }
    told.set(photo.id, now);
  }
  for (const shoot of state.shoots) {
    const now = `${shoot.state} ${shoot.pictures.length}`;
    if (told.has(shoot.id) && told.get(shoot.id) !== now) {
      const last = shoot.pictures[shoot.pictures.length - 1];
      if (shoot.state === "done") tell(shoot.pictures.length === 1 ? "1 picture is ready." : `${shoot.pictures.length} pictures are ready.`);
      else if (shoot.state === "failed") tell(`No pictures: ${shoot.problem}`);
      else if (shoot.state === "stopped") tell("Stopped.");
      else if (last) tell(`Picture ${shoot.pictures.length} of ${shoot.total}: ${last.title}`);
    }
    told.set(shoot.id, now);
  }
}

async function removeShoot(id) {
  try { await ask("DELETE", `/api/shoots/${id}`); } catch (error) { complain(error.message); }
  at("results").focus();
  refresh();
}

at("leave").addEventListener("click", async () => {
  try {
    await ask("POST", "/api/leave");
    location.assign("/");
  } catch (error) { complain(error.message); }
});

refresh();
