"""The script of an incident's page: it plays the steps from above and moves the cursor of the time axis with them.

Plain JavaScript without any library, for a page that loads nothing.
"""

from __future__ import annotations

SCRIPT = r"""
(() => {
const data = JSON.parse(document.getElementById("moment").textContent), steps = data.steps;
const canvas = document.getElementById("floor"), pen = canvas.getContext("2d");
const slider = document.getElementById("when"), button = document.getElementById("play");
const words = document.getElementById("words");
const cursor = document.getElementById("cursor"), axis = cursor.ownerSVGElement;
const style = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const first = steps[0].t, last = steps[steps.length - 1].t;
let shown = data.at, playing = false, begun = 0, from = 0;

function disc(x, y, r, fill, stroke) {
  pen.beginPath(); pen.arc(x, y, r, 0, 7);
  if (fill) { pen.fillStyle = fill; pen.fill(); }
  if (stroke) { pen.strokeStyle = stroke; pen.lineWidth = 0.04; pen.stroke(); }
}
function body(pose, fill, stroke) {
  pen.save(); pen.translate(pose[0], pose[1]); pen.rotate(pose[2]);
  pen.fillStyle = fill; pen.strokeStyle = stroke; pen.lineWidth = 0.04;
  pen.beginPath(); pen.rect(-data.length / 2, -data.width / 2, data.length, data.width); pen.fill(); pen.stroke();
  pen.beginPath(); pen.moveTo(data.length * 0.1, -data.width * 0.3);
  pen.lineTo(data.length * 0.42, 0); pen.lineTo(data.length * 0.1, data.width * 0.3);
  pen.strokeStyle = style("--card"); pen.lineWidth = 0.06; pen.stroke(); pen.restore();
}
function draw() {
  const s = steps[shown], scale = canvas.width / (2 * data.reach), c = data.cell;
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.fillStyle = style("--paper"); pen.fillRect(0, 0, canvas.width, canvas.height);
  const left = canvas.width / 2 - s.pose[0] * scale, up = canvas.height / 2 + s.pose[1] * scale;
  pen.setTransform(scale, 0, 0, -scale, left, up);
  pen.fillStyle = style("--a"); pen.globalAlpha = 0.16;
  for (let i = 0; i < s.granted.length; i += 2) pen.fillRect(s.granted[i] - c / 2, s.granted[i + 1] - c / 2, c, c);
  pen.globalAlpha = 1; pen.fillStyle = style("--faint");
  for (const [x, y] of data.blocked) pen.fillRect(x - c / 2, y - c / 2, c + 0.01, c + 0.01);
  for (const [x, y, r] of s.told) disc(x, y, r, null, style("--e"));
  for (const pose of s.robots) body(pose, style("--soft"), style("--ink"));
  for (const [x, y] of s.people) disc(x, y, 0.25, style("--b"), style("--ink"));
  pen.fillStyle = style("--c");
  for (let i = 0; i < s.points.length; i += 2) pen.fillRect(s.points[i] - 0.03, s.points[i + 1] - 0.03, 0.06, 0.06);
  body(s.pose, style("--a"), style("--ink"));
  pen.beginPath(); pen.strokeStyle = style("--d"); pen.lineWidth = 0.09;
  for (let i = 0; i < s.plan.length; i += 2) pen.lineTo(s.plan[i], s.plan[i + 1]);
  pen.stroke();
  const end = s.plan.length - 2;
  if (end >= 0) disc(s.plan[end], s.plan[end + 1], data.radius, null, style("--d"));
  const say = (v, unit) => v === null ? "no number" : v.toFixed(2) + unit;
  const rows = [["time", s.t.toFixed(1) + " s, cycle " + s.cycle + (s.same ? "" : ", decided otherwise than recorded")],
    ["mode", s.mode + (s.cause === "none" ? "" : ": " + s.cause)], ["proposed by", s.source],
    ["proposed", say(s.proposed[0], " m/s  ") + say(s.proposed[1], " rad/s")],
    ["released", say(s.released[0], " m/s  ") + say(s.released[1], " rad/s")],
    ["shield", s.reason === "none" ? "released as proposed" : "refused it: " + s.reason],
    ["released is", s.outcome + (s.refused ? "; refused candidates: " + s.refused : "")],
    ["margin", s.margin === null || s.margin < 0 ? "the stored plan plays" : s.margin.toFixed(2) + " m"],
    ["speed", say(s.v, " m/s")],
    ["ages", ["scan", "pose", "twist", "picture"].map((name, i) => name + " " +
      (Math.abs(s.ages[i]) < 3600 ? s.ages[i].toFixed(1) + " s" : "never")).join(", ")],
    ["grant", s.lease === null ? "none" : "ends in " + s.lease.toFixed(1) + " s"],
    ["tracking", (s.tracking === null ? "not to be told" : s.tracking.toFixed(2) + " m of its bound") +
      (s.strayed ? ", outside for " + s.strayed + " cycles" : "")],
    ["progress", s.stuck ? "none for " + s.stuck.toFixed(1) + " s" : "yes"],
    ["release", (s.release || "as started") + (s.answered ? ", policy " + s.answered : "")]];
  words.replaceChildren(...rows.map(([name, value]) => {
    const row = document.createElement("tr"), a = document.createElement("td"), b = document.createElement("td");
    a.textContent = name; b.textContent = value; row.append(a, b); return row;
  }));
  const share = (s.t - first) / Math.max(last - first, 1e-9);
  const x = +cursor.dataset.left + +cursor.dataset.width * share;
  cursor.setAttribute("x1", x); cursor.setAttribute("x2", x); slider.value = shown;
}
function go(index) { shown = Math.max(0, Math.min(steps.length - 1, index)); draw(); }
function nearest(t) {
  let best = 0;
  steps.forEach((s, i) => { if (Math.abs(s.t - t) < Math.abs(steps[best].t - t)) best = i; });
  return best;
}
function tick(now) {
  if (!playing) return;
  const t = from + (now - begun) / 1000;
  go(nearest(t));
  if (t >= last) toggle(); else requestAnimationFrame(tick);
}
function toggle() {
  playing = !playing; button.textContent = playing ? "Pause" : "Play";
  if (!playing) return;
  begun = performance.now(); from = shown >= steps.length - 1 ? first : steps[shown].t;
  requestAnimationFrame(tick);
}
button.onclick = toggle;
slider.max = steps.length - 1;
slider.oninput = () => { if (playing) toggle(); go(+slider.value); };
axis.onclick = event => {
  const box = axis.getBoundingClientRect(), wide = axis.viewBox.baseVal.width;
  const x = (event.clientX - box.left) / box.width * wide;
  if (playing) toggle();
  go(nearest(first + (x - +cursor.dataset.left) / +cursor.dataset.width * (last - first)));
};
document.onkeydown = event => {
  if (event.key === "ArrowRight") go(shown + 1);
  if (event.key === "ArrowLeft") go(shown - 1);
};
draw();
})();
"""
