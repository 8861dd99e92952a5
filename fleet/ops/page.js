// The operator page: draws the newest view of /events, and asks for what the operator may do. It asks no other host.
"use strict";

const MODES = ["policy", "shielded", "fallback", "stopped", "latched", "manual", "held", "unknown"];
const MODE_WORDS = {
  policy: "driving", shielded: "shielded", fallback: "fallback", stopped: "stopped", latched: "latched", manual: "by hand", held: "held", unknown: "unknown",
};
const MODE_COLOURS = {
  policy: "#1f8f4d", shielded: "#d98300", fallback: "#8e44ad", stopped: "#d91e18", latched: "#8e1710", manual: "#0087b5", held: "#b96a00", unknown: "#7b8594",
};
const TASKS = { done: "#1f8f4d", running: "#2262ad", assigned: "#6aa5ea", queued: "#a9b4c2", suspended: "#b96a00", cancelled: "#7b8594", failed: "#c8281e" };
const TROUBLE = { latched: 0, stopped: 1, fallback: 2, manual: 3, held: 4, unknown: 5 };
const LABELS = 60; // robots up to which each has its name on the floor
const ROWS = 150; // rows of the table: more are counted
const SILENT = 2; // s; as fleet/ops/alarms.py
const DEAD = 4000; // ms without a word from the page's own process

const at = (id) => document.getElementById(id);
let view = null, floor = null, session = { operator: "", word: "" }, acts = false, chosen = "";
let heard = 0, before = new Map(), target = new Map(), moved = 0, picture = null, source = null, toastTimer = 0;

function element(kind, text, classes) {
  const made = document.createElement(kind);
  if (text !== undefined) made.textContent = text;
  if (classes) made.className = classes;
  return made;
}

function put(id, ...children) { at(id).replaceChildren(...children); }

function seconds(value) {
  if (value < 0) return "never";
  if (value < 10) return value.toFixed(1) + " s";
  if (value < 120) return Math.round(value) + " s";
  if (value < 7200) return Math.round(value / 60) + " min";
  return (value / 3600).toFixed(1) + " h";
}

function siteClock(ns) {
  const all = Math.floor(ns / 1e9), two = (n) => String(n).padStart(2, "0");
  return (all >= 3600 ? Math.floor(all / 3600) + ":" + two(Math.floor(all / 60) % 60) : String(Math.floor(all / 60))) + ":" + two(all % 60);
}

function plural(count, word) { return count + " " + word + (count === 1 ? "" : "s"); }

function natural(a, b) { return a.name.localeCompare(b.name, "en", { numeric: true }); }

// what is shown ----------------------------------------------------------------------------------------------------

function show() {
  const seen = view.seen, dead = performance.now() - heard > DEAD;
  document.body.classList.toggle("stale", dead || (!seen.answered && !seen.ended));
  showState(seen, dead);
  showAlarms(view.alarms, view.over, seen);
  document.querySelector(".tasks").hidden = !seen.coordinated;
  document.querySelector(".floor").hidden = document.querySelector(".robots.card").hidden = !seen.coordinated && !seen.robots.length && !(floor && floor.known);
  document.querySelector("main").classList.toggle("narrow", document.querySelector(".floor").hidden);
  showTasks(seen.tasks);
  showRollout(seen.rollout);
  showProcesses(seen.processes);
  showRobots(seen);
}

function showState(seen, dead) {
  const pill = at("pill");
  const [words, kind] = dead ? ["no connection", "unknown"] : seen.ended ? ["ended", "unknown"] : !seen.answered ? ["no answer", "bad"]
    : seen.stop.latched ? ["STOPPED", "bad"] : ["live", "live"];
  pill.textContent = words;
  pill.className = "pill " + kind;
  at("clock").textContent = seen.stamp ? "site time " + siteClock(seen.stamp) : "";
  const banner = at("banner");
  let text = "";
  if (dead) text = "This page has lost its process: what it shows is old.";
  else if (seen.ended) text = capital(seen.ended) + ": this is how it was left; nothing here is live.";
  else if (!seen.answered) text = "The coordinator does not answer (" + seen.error + "): what is shown is old.";
  else if (seen.stop.latched) {
    text = "Emergency stop " + seen.stop.epoch + " is latched" + (seen.stop.by ? ", raised by " + seen.stop.by : "") + (seen.stop.reason ? ": " + seen.stop.reason : "") + ".";
  }
  banner.textContent = text;
  banner.hidden = !text;
  banner.classList.toggle("old", dead || Boolean(seen.ended));
  const live = acts && !dead && !seen.ended;
  at("stop").hidden = !live || seen.stop.latched || !seen.coordinated;
  at("reset").hidden = !live || !seen.stop.latched || !session.operator;
  at("reset").textContent = "Reset stop " + seen.stop.epoch;
  const rollout = seen.rollout;
  at("kill").hidden = !acts || dead || !session.operator || !rollout || rollout.error !== "" || !["running", "held", "confirmed"].includes(rollout.status);
  at("who").textContent = session.operator ? session.operator : acts ? "watching" : "read-only";
}

function capital(text) { return text.slice(0, 1).toUpperCase() + text.slice(1); }

function showAlarms(standing, over, seen) {
  at("alarm-count").textContent = standing.length ? String(standing.length) : "";
  document.title = (standing.some((one) => !one.acknowledged) ? "(" + standing.filter((one) => !one.acknowledged).length + ") " : "") + "muster " + at("title").textContent;
  const rows = standing.map((alarm) => {
    const row = element("li", undefined, alarm.level + (alarm.acknowledged ? " quieted" : ""));
    row.append(element("b", alarm.text));
    if (session.operator && !alarm.acknowledged) {
      const button = element("button", "Acknowledge", "plain");
      button.addEventListener("click", () => act("/acknowledge", { key: alarm.key }, button));
      row.append(button);
    }
    row.append(element("small", "for " + seconds(alarm.since) + (alarm.acknowledged ? ", acknowledged by " + alarm.acknowledged : "") + " · " + alarm.remedy));
    return row;
  });
  keep("alarms", standing.map((one) => [one.key, one.text, one.acknowledged, Math.round(one.since)]), rows.length ? rows : [element("li", seen.ended ? "The run has ended." : "None.", "none")]);
  at("over-box").hidden = !over.length;
  at("over-count").textContent = over.length;
  keep("over", over.map((one) => [one.key, Math.round(one.over)]), over.map((alarm) => {
    const row = element("li", undefined, "over");
    row.append(element("b", alarm.text), element("small", "over since " + seconds(alarm.over) + ", lasted " + seconds(alarm.since - alarm.over)));
    return row;
  }));
}

// A list is built anew only when it changes: a button stays under the finger, and a scroll where it was.
const kept = new Map();
function keep(id, key, rows) {
  const text = JSON.stringify([key, session.operator]);
  if (kept.get(id) === text) return;
  kept.set(id, text);
  put(id, ...rows);
}

function bar(id, legend, shares, colours) {
  const total = shares.reduce((sum, [, count]) => sum + count, 0);
  keep(id, shares, shares.filter(([, count]) => count).map(([name, count]) => {
    const part = element("span");
    part.style.flexGrow = count / total;
    part.style.background = colours[name] || "#7b8594";
    part.title = count + " " + name;
    return part;
  }));
  keep(legend, shares, shares.map(([name, count]) => {
    const item = element("li", undefined, count ? "" : "zero"), mark = element("i");
    mark.style.background = colours[name] || "#7b8594";
    item.append(mark, count + " " + name);
    return item;
  }));
  return total;
}

function showTasks(tasks) {
  const shares = Object.keys(TASKS).filter((name) => tasks[name] || ["done", "running", "queued"].includes(name)).map((name) => [name, tasks[name] || 0]);
  const total = bar("task-bar", "tasks", shares, TASKS);
  at("task-count").textContent = total ? (tasks.done || 0) + " of " + total + " done" : "none yet";
}

function showRollout(rollout) {
  at("rollout-card").hidden = !rollout;
  if (!rollout) return;
  at("rollout-name").textContent = rollout.name;
  const short = (id) => (id ? id.slice(0, 12) : "?");
  at("rollout-words").textContent = rollout.error ? "It cannot be read: " + rollout.error
    : (rollout.status ? capital(rollout.status.replace("_", " ")) : plural(rollout.number, "event")) + (rollout.reason ? ": " + rollout.reason : "")
      + (rollout.candidate ? " · candidate " + short(rollout.candidate) + " for " + short(rollout.baseline) : "");
  const here = rollout.stages.indexOf(rollout.stage), back = ["rolled_back", "killed"].includes(rollout.status);
  keep("stages", [rollout.stages, rollout.stage, rollout.status], rollout.stages.map((stage, number) =>
    element("li", stage, number < here || rollout.status === "confirmed" ? "done" : number === here ? "here" + (back ? " back" : rollout.status === "held" ? " held" : "") : "")));
  keep("fleet", rollout.robots, Object.entries(rollout.robots).map(([name, arm]) => {
    const dot = element("li", "", arm);
    dot.title = name + ": " + arm;
    return dot;
  }));
  const arms = Object.entries(rollout.arms);
  keep("arms", arms, arms.map(([name, count]) => element("li", plural(count, "robot") + " on " + name)));
}

function showProcesses(processes) {
  at("process-card").hidden = !processes.length;
  const number = (value, shown) => (value === undefined ? "–" : shown(value));
  put("processes", ...processes.map((process) => {
    const row = element("tr"), said = process.said, name = element("td", process.name);
    if (!process.answered) name.append(element("span", process.age < 0 ? "no answer yet" : "silent for " + seconds(process.age), "why"));
    row.append(name, element("td", number(said.step_p99, (s) => (1e3 * s).toFixed(1) + " ms")), element("td", number(said.missed, String)),
      element("td", number(said.interventions, String)), element("td", number(said.memory, (b) => Math.round(b / 1048576) + " MB")));
    return row;
  }));
}

// What a silent robot was doing says nothing of what it does.
function modeOf(robot) { return robot.status === "ended" || robot.age > SILENT ? "unknown" : robot.mode; }

function showRobots(seen) {
  const robots = [...seen.robots], counts = {};
  for (const robot of robots) counts[modeOf(robot)] = (counts[modeOf(robot)] || 0) + 1;
  at("robot-count").textContent = robots.length ? String(robots.length) : "none heard yet";
  keep("modes", counts, MODES.filter((mode) => counts[mode] && !seen.ended).map((mode) => {
    const item = element("span"), mark = element("i");
    mark.style.background = MODE_COLOURS[mode];
    item.append(mark, counts[mode] + " " + MODE_WORDS[mode]);
    return item;
  }));
  const rank = (robot) => (robot.age > SILENT ? -1 : robot.status === "operator" ? 2.5 : TROUBLE[modeOf(robot)] ?? 4);
  robots.sort((a, b) => rank(a) - rank(b) || natural(a, b));
  const shown = robots.slice(0, ROWS);
  put("robots", ...shown.map(robotRow));
  at("more").hidden = robots.length <= ROWS;
  at("more").textContent = "and " + (robots.length - ROWS) + " more that drive";
  const next = new Map(robots.map((robot) => [robot.name, robot]));
  if (robots.some((robot) => { const known = target.get(robot.name); return !known || String(known.pose) !== String(robot.pose); }) || next.size !== target.size) {
    before = new Map(robots.map((robot) => [robot.name, poseNow(robot)]));
    moved = performance.now();
  }
  target = next;
}

function robotRow(robot) {
  const row = element("tr", undefined, robot.name === chosen ? "chosen" : ""), mode = element("td"), battery = element("td");
  if (robot.status === "ended") mode.append(element("span", "ended", "pill unknown"));
  else if (robot.age > SILENT) mode.append(element("span", "silent", "pill unknown"));
  else {
    mode.append(element("span", MODE_WORDS[robot.mode] || robot.mode, "pill " + robot.mode));
    const why = robot.operator ? robot.operator + " drives it" : robot.why;
    if (why) mode.append(element("span", why, "why"));
  }
  if (robot.battery >= 0) {
    const gauge = element("span", undefined, "gauge" + (robot.battery < 0.15 ? " low" : "")), fill = element("span");
    fill.style.width = Math.round(100 * robot.battery) + "%";
    gauge.append(fill);
    battery.append(gauge, Math.round(100 * robot.battery) + " %");
  }
  const does = robot.age > SILENT ? "" : { idle: "idle", moving: "on its way", waiting: "waits for its way", blocked: "blocked", working: "at a station", stopped: "stands", operator: "asks for a person", ended: "" }[robot.status] ?? robot.status;
  const task = robot.task.startsWith("charge-") ? "charging" : robot.task.slice(-8);
  const late = robot.age > SILENT;
  row.append(element("td", robot.name), mode, element("td", does), battery, element("td", task),
    element("td", robot.status === "ended" ? "" : late ? "silent " + seconds(robot.age) : "now", late ? "old" : ""));
  row.addEventListener("click", () => choose(robot.name));
  return row;
}

function choose(name) {
  chosen = chosen === name ? "" : name;
  for (const row of at("robots").children) row.classList.toggle("chosen", row.firstChild.textContent === chosen);
}

// the floor --------------------------------------------------------------------------------------------------------

function extent() {
  if (floor.known) return [0, 0, floor.width, floor.height];
  const poses = [...target.values()].map((robot) => robot.pose);
  if (!poses.length) return null;
  const xs = poses.map((pose) => pose[0]), ys = poses.map((pose) => pose[1]);
  return [Math.min(...xs) - 3, Math.min(...ys) - 3, Math.max(...xs) + 3, Math.max(...ys) + 3];
}

function poseNow(robot) {
  const from = before.get(robot.name), to = (target.get(robot.name) || robot).pose;
  if (!from) return to;
  const share = Math.min(1, (performance.now() - moved) / 250);
  const turn = Math.atan2(Math.sin(to[2] - from[2]), Math.cos(to[2] - from[2]));
  if (Math.hypot(to[0] - from[0], to[1] - from[1]) > 6) return to; // it was not seen in between
  return [from[0] + share * (to[0] - from[0]), from[1] + share * (to[1] - from[1]), from[2] + share * turn];
}

function draw() {
  requestAnimationFrame(draw);
  if (!floor || !view || document.hidden) return;
  const canvas = at("floor"), area = extent();
  canvas.hidden = !area;
  at("no-floor").hidden = floor.known || Boolean(area);
  if (!area) return;
  const wide = canvas.clientWidth, ratio = window.devicePixelRatio || 1;
  const scale = Math.min(wide / (area[2] - area[0]), (0.72 * window.innerHeight) / (area[3] - area[1]));
  const tall = Math.max(80, Math.round(scale * (area[3] - area[1])));
  if (canvas.width !== Math.round(wide * ratio) || canvas.height !== Math.round(tall * ratio)) {
    canvas.width = Math.round(wide * ratio);
    canvas.height = Math.round(tall * ratio);
    canvas.style.height = tall + "px";
    picture = null;
  }
  const left = (wide - scale * (area[2] - area[0])) / 2;
  const x = (value) => left + (value - area[0]) * scale, y = (value) => tall - (value - area[1]) * scale;
  const paper = canvas.getContext("2d");
  paper.setTransform(ratio, 0, 0, ratio, 0, 0);
  if (floor.known) {
    picture = picture || drawFloor(canvas, ratio, x, y, area);
    paper.clearRect(0, 0, wide, tall);
    paper.drawImage(picture, 0, 0, wide, tall);
  } else {
    paper.fillStyle = "#d4d8de";
    paper.fillRect(0, 0, wide, tall);
  }
  for (const robot of target.values()) drawRobot(paper, robot, x, y, scale);
}

function drawFloor(canvas, ratio, x, y, area) {
  const made = document.createElement("canvas");
  made.width = canvas.width;
  made.height = canvas.height;
  const paper = made.getContext("2d");
  paper.setTransform(ratio, 0, 0, ratio, 0, 0);
  paper.fillStyle = floor.floor;
  paper.fillRect(x(area[0]), y(area[3]), x(area[2]) - x(area[0]), y(area[1]) - y(area[3]));
  for (const [colour, ...points] of floor.shapes || []) {
    paper.fillStyle = colour;
    paper.beginPath();
    for (let k = 0; k < points.length; k += 2) paper.lineTo(x(points[k]), y(points[k + 1]));
    paper.fill();
  }
  for (const [x0, y0, x1, y1, colour] of floor.boxes) {
    paper.fillStyle = colour;
    paper.fillRect(x(x0), y(y1), x(x1) - x(x0), y(y0) - y(y1));
  }
  return made;
}

function drawRobot(paper, robot, x, y, scale) {
  const [px, py, yaw] = poseNow(robot), mode = modeOf(robot), silent = robot.age > SILENT;
  const long = Math.max(13, scale * floor.robot.length), wide = Math.max(10, scale * floor.robot.width);
  paper.save();
  paper.translate(x(px), y(py));
  if (robot.name === chosen || mode === "latched" || mode === "stopped" || robot.status === "operator" || silent) {
    paper.beginPath();
    paper.arc(0, 0, 0.85 * long, 0, 2 * Math.PI);
    paper.strokeStyle = robot.name === chosen ? "#2262ad" : silent ? "#1c2430" : MODE_COLOURS[mode];
    paper.lineWidth = robot.name === chosen ? 3 : 2;
    if (silent) paper.setLineDash([4, 3]);
    paper.stroke();
    paper.setLineDash([]);
  }
  paper.rotate(-yaw);
  paper.globalAlpha = silent ? 0.55 : 1;
  paper.fillStyle = MODE_COLOURS[mode] || MODE_COLOURS.unknown;
  paper.strokeStyle = "#ffffff";
  paper.lineWidth = 1.5;
  paper.beginPath();
  paper.roundRect(-long / 2, -wide / 2, long, wide, 3);
  paper.fill();
  paper.stroke();
  paper.fillStyle = "#ffffff";
  paper.beginPath();
  paper.moveTo(long / 2 - 2, 0);
  paper.lineTo(long / 2 - 2 - wide * 0.42, -wide * 0.26);
  paper.lineTo(long / 2 - 2 - wide * 0.42, wide * 0.26);
  paper.fill();
  paper.restore();
  if (target.size > LABELS && robot.name !== chosen) return;
  paper.font = "600 11px system-ui, 'DejaVu Sans', sans-serif";
  paper.textAlign = "center";
  paper.lineWidth = 3;
  paper.strokeStyle = "rgba(255,255,255,.85)";
  paper.fillStyle = "#1c2430";
  paper.strokeText(robot.name, x(px), y(py) - 0.72 * long);
  paper.fillText(robot.name, x(px), y(py) - 0.72 * long);
}

at("floor").addEventListener("click", (event) => {
  const area = floor && extent();
  if (!area) return;
  const box = at("floor").getBoundingClientRect(), scale = Math.min(box.width / (area[2] - area[0]), box.height / (area[3] - area[1]));
  const px = area[0] + (event.clientX - box.left - (box.width - scale * (area[2] - area[0])) / 2) / scale, py = area[1] + (box.bottom - event.clientY) / scale;
  const near = [...target.values()].map((robot) => [Math.hypot(robot.pose[0] - px, robot.pose[1] - py), robot.name]).sort((a, b) => a[0] - b[0])[0];
  if (near && near[0] * scale < 30) choose(near[1]);
});

// what can be done -------------------------------------------------------------------------------------------------

async function post(path, words) {
  const answer = await fetch(path, {
    method: "POST", credentials: "same-origin", headers: { "content-type": "application/json", "x-muster": session.word }, body: JSON.stringify(words),
  });
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(said.error || "refused (" + answer.status + ")");
  return said;
}

async function act(path, words, button) {
  if (button) button.disabled = true;
  try {
    toast((await post(path, words)).answer, false);
  } catch (error) {
    toast(error.message, true);
  } finally {
    if (button) button.disabled = false;
  }
}

function toast(text, bad) {
  const box = at("toast");
  box.textContent = text;
  box.classList.toggle("bad", bad);
  box.hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { box.hidden = true; }, bad ? 12000 : 5000);
}

function ask(title, text, reason, word) {
  const box = at("ask");
  at("ask-title").textContent = title;
  at("ask-text").textContent = text;
  at("ask-label").hidden = !reason;
  at("ask-reason").value = "";
  at("ask-yes").textContent = word;
  box.returnValue = "no";
  box.showModal();
  if (!reason) at("ask-yes").focus();
  return new Promise((resolve) => box.addEventListener("close", () => resolve(box.returnValue === "yes" ? at("ask-reason").value : null), { once: true }));
}

// A stop is raised at once: whoever presses it has no time for a question. Why can be said where it is reset.
at("stop").addEventListener("click", () => act("/stop", { reason: "from the operator page" }, at("stop")));

at("reset").addEventListener("click", async () => {
  const epoch = view.seen.stop.epoch; // of the stop that was read: one raised meanwhile stays
  const sure = await ask("Reset emergency stop " + epoch + "?", "Robots will drive again by themselves. Its cause must be gone, and nobody in their way.", false, "Reset");
  if (sure !== null) act("/reset", { epoch }, at("reset"));
});

at("kill").addEventListener("click", async () => {
  const reason = await ask("Kill the rollout?", "Every robot drives the old release again. This rollout cannot be taken up again.", true, "Kill rollout");
  if (reason !== null) act("/kill", { reason }, at("kill"));
});

// how it begins ----------------------------------------------------------------------------------------------------

function listen() {
  if (source) source.close();
  source = new EventSource("/events");
  source.onmessage = (event) => {
    heard = performance.now();
    view = JSON.parse(event.data);
    if (view.seen) show();
  };
}

async function begin() {
  const token = location.hash.slice(1);
  if (token) history.replaceState(null, "", location.pathname); // it is good once, and is not to stand in the history
  const known = await (await fetch("/floor")).json();
  floor = known.floor;
  if (floor.car) [at("floor-word").textContent, at("robot-word").textContent] = ["Road", "Cars"];
  acts = known.acts;
  at("title").textContent = known.title;
  session = await (await fetch("/session")).json();
  if (token && acts && !session.operator) {
    try {
      session = await post("/login", { token });
    } catch (error) {
      toast(error.message, true);
    }
  }
  listen();
  requestAnimationFrame(draw);
  setInterval(() => {
    if (view && view.seen && performance.now() - heard > DEAD) show();
    if (performance.now() - heard > DEAD && source.readyState === EventSource.CLOSED) listen();
  }, 2000);
}

begin().catch((error) => { at("pill").textContent = "cannot be loaded"; toast(String(error.message), true); });
