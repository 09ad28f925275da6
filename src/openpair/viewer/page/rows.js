// Which scenes are shown, and in what order: filters and sorting over columns of numbers.
export function scored(column, i) { return column.scores[i]; }

export function difference(a, b, i) {
  const first = a?.scores[i] ?? null, second = b?.scores[i] ?? null;
  return first === null || second === null ? null : first - second;
}

// Short names of the sub-metrics that an agent lost something on.
export function lostOf(column, i, names) {
  return names.filter((name) => { const value = column.metrics[name]?.[i]; return value !== null && value !== undefined && value < 1; });
}

// Indices of the scenes that pass the filters. `wanted`: q, lost, what, only; `a`, `b`: columns or null.
export function filtered(table, masks, wanted, a, b) {
  const words = wanted.q.toLowerCase().split(/[\s,]+/).filter(Boolean);
  const many = words.length > 1 ? new Set(words) : null;
  const bit = wanted.what ? 1 << table.happenings.indexOf(wanted.what) : 0;
  const found = [];
  for (let i = 0; i < table.token.length; i++) {
    if (words.length) {
      const token = table.token[i].toLowerCase();
      if (many ? !many.has(token) : !token.includes(words[0]) && !table.logs[table.log[i]].toLowerCase().includes(words[0])) continue;
    }
    if (bit && !((masks[i] ?? 0) & bit)) continue;
    if (wanted.lost && !(a && (a.metrics[wanted.lost]?.[i] ?? 1) < 1)) continue;
    const gain = wanted.only === "gains" || wanted.only === "losses" ? difference(a, b, i) : null;
    if (wanted.only === "gains" && !(gain !== null && gain > 0)) continue;
    if (wanted.only === "losses" && !(gain !== null && gain < 0)) continue;
    if (wanted.only === "failed" && !table.columns.some((column) => i in column.errors)) continue;
    if (wanted.only === "zero" && a?.scores[i] !== 0) continue;
    found.push(i);
  }
  return found;
}

// Sorts indices by "scene", "diff" or the key of a column; a "-" in front turns the order. Scenes without a number
// come last.
export function sorted(indices, table, order, a, b) {
  const falling = order.startsWith("-"), by = falling ? order.slice(1) : order;
  if (!by || by === "scene") return falling ? [...indices].reverse() : indices;
  const column = table.columns.find((one) => one.key === by);
  const value = by === "diff" ? (i) => difference(a, b, i) : (i) => column?.scores[i] ?? null;
  const keyed = indices.map((i) => [value(i), i]);
  keyed.sort(([x, i], [y, j]) => {
    if (x === null || y === null) return x === y ? i - j : x === null ? 1 : -1;
    return (falling ? y - x : x - y) || i - j;
  });
  return keyed.map(([, i]) => i);
}

export function mean(values) {
  let sum = 0, count = 0;
  for (const value of values) if (value !== null && value !== undefined) { sum += value; count++; }
  return count ? sum / count : null;
}
