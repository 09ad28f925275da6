// Where the page's data come from: the server beside it, or the file that it is itself.
export class Source {
  constructor() {
    const inside = document.getElementById("exported");
    this.data = inside ? JSON.parse(inside.textContent) : null;
    this.kept = new Map();
  }

  get exported() { return this.data !== null; }

  async get(path) {
    const answer = await fetch(path);
    const data = await answer.json().catch(() => ({error: "The server's answer cannot be read."}));
    if (!answer.ok) throw new Error(data.error || `The server answered ${answer.status}.`);
    return data;
  }

  async table() { return this.data ? this.data.table : this.get("data/table"); }

  async scene(token, keys) {
    if (this.data) {
      const scene = this.data.scenes[token];
      if (!scene) throw new Error("This scene is not in the file.");
      return scene;
    }
    const path = `data/scene/${encodeURIComponent(token)}?${keys.map((key) => `agent=${encodeURIComponent(key)}`).join("&")}`;
    if (!this.kept.has(path)) {
      this.kept.set(path, this.get(path).catch((error) => { this.kept.delete(path); throw error; }));
      if (this.kept.size > 40) this.kept.delete(this.kept.keys().next().value);
    }
    return this.kept.get(path);
  }

  async sensors(token, key = "", step = 0) { return this.get(`data/sensors/${encodeURIComponent(token)}?agent=${encodeURIComponent(key)}&step=${step}`); }

  async inside(token, key) { return this.get(`data/inside/${encodeURIComponent(token)}?agent=${encodeURIComponent(key)}`); }

  async happenings() { return this.data ? this.data.happenings : this.get("data/happenings"); }

  async charts() { return this.data ? this.data.charts : this.get("data/charts"); }
}
