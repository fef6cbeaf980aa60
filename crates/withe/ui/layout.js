// Where parts stand: callers to the left of what they call, and links between the boxes. The way of Sugiyama, Tagawa and Toda
// (1981): columns by the longest way from a caller, slots for links that pass a column, and sweeps that put each beside its
// neighbours. Where there are too many for one column to be looked at, it is folded, and links run where they run.

const SWEEPS = 6;

/**
 * Lays out `nodes` (names) and `edges` (`{source, target}`, by name) in boxes of one size, with at most `most` in a column.
 * Returns `{at: Map name -> {x, y}, ways: [[{x, y}, …]] (one for each edge), width, height}`.
 */
export function layout(nodes, edges, { boxWidth, boxHeight, columnGap, rowGap, most = Infinity }) {
  const index = new Map(nodes.map((name, i) => [name, i]));
  const ends = edges.map(({ source, target }) => [index.get(source), index.get(target)]);
  const column = columns(nodes.length, ends.filter(([s, t]) => s !== undefined && t !== undefined && s !== t));

  // What stands in a column: a part, or a link that passes.
  const slots = [];
  const inColumn = [];
  const put = (slot) => {
    (inColumn[slot.column] ??= []).push(slot);
    slots.push(slot);
    return slot;
  };
  const parts = nodes.map((_, i) => put({ column: column[i], height: boxHeight, left: [], right: [] }));
  const chains = ends.map(([s, t]) => {
    if (s === undefined || t === undefined || s === t) return null;
    const [from, to] = column[s] <= column[t] ? [s, t] : [t, s];
    const chain = [parts[from]];
    for (let at = column[from] + 1; at < column[to] && most === Infinity; at += 1) chain.push(put({ column: at, height: 10, left: [], right: [] }));
    chain.push(parts[to]);
    for (let i = 1; i < chain.length; i += 1) {
      if (chain[i - 1].column === chain[i].column) continue;
      chain[i - 1].right.push(chain[i]);
      chain[i].left.push(chain[i - 1]);
    }
    return column[s] <= column[t] ? chain : [...chain].reverse();
  });
  for (const stack of inColumn) stack?.forEach((slot, row) => { slot.row = row; });
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const side = sweep % 2 === 0 ? "left" : "right";
    const order = sweep % 2 === 0 ? inColumn : [...inColumn].reverse();
    for (const stack of order) {
      if (!stack) continue;
      for (const slot of stack) {
        const beside = slot[side];
        slot.wish = beside.length ? beside.reduce((sum, other) => sum + other.row, 0) / beside.length : slot.row;
      }
      stack.sort((a, b) => a.wish - b.wish || a.row - b.row);
      stack.forEach((slot, row) => { slot.row = row; });
    }
  }

  const folded = [];
  for (const stack of inColumn.filter(Boolean)) {
    const size = Math.ceil(stack.length / Math.ceil(stack.length / most));
    for (let from = 0; from < stack.length; from += size || 1) {
      folded.push({ stack: stack.slice(from, from + size), gap: from === 0 ? columnGap : columnGap / 4 });
    }
  }
  const tall = (stack) => stack.reduce((sum, slot) => sum + slot.height + rowGap, -rowGap);
  const height = Math.max(boxHeight, ...folded.map(({ stack }) => tall(stack)));
  let x = -columnGap;
  for (const { stack, gap } of folded) {
    x += gap;
    let y = (height - tall(stack)) / 2;
    for (const slot of stack) {
      slot.x = x;
      slot.y = y;
      y += slot.height + rowGap;
    }
    x += boxWidth;
  }
  const ways = ends.map(([s, t], i) => {
    if (s === undefined || t === undefined) return [];
    return way(parts[s], parts[t], chains[i], boxWidth, boxHeight);
  });
  return {
    at: new Map(nodes.map((name, i) => [name, { x: parts[i].x, y: parts[i].y }])),
    ways,
    width: Math.max(boxWidth, x),
    height,
  };
}

/** The column of each of `count` nodes: behind all that call it, but for circles. */
function columns(count, ends) {
  const out = Array.from({ length: count }, () => []);
  for (const [s, t] of ends) out[s].push(t);
  // A link back to what is under way closes a circle, and is left out.
  const state = new Array(count).fill(0);
  const order = [];
  const forward = Array.from({ length: count }, () => []);
  const called = new Array(count).fill(0);
  for (const [, t] of ends) called[t] += 1;
  const starts = [...called.keys()].sort((a, b) => Math.min(called[a], 1) - Math.min(called[b], 1) || a - b);
  for (const start of starts) {
    if (state[start]) continue;
    const stack = [[start, 0]];
    state[start] = 1;
    while (stack.length) {
      const top = stack[stack.length - 1];
      const [node, next] = top;
      if (next < out[node].length) {
        top[1] += 1;
        const target = out[node][next];
        if (state[target] === 1) continue;
        forward[node].push(target);
        if (state[target] === 0) {
          state[target] = 1;
          stack.push([target, 0]);
        }
      } else {
        state[node] = 2;
        order.push(node);
        stack.pop();
      }
    }
  }
  const column = new Array(count).fill(0);
  for (const node of order.reverse()) {
    for (const target of forward[node]) column[target] = Math.max(column[target], column[node] + 1);
  }
  return column;
}

/** The points of a link's way, from its caller's box to the other. */
function way(from, to, chain, boxWidth, boxHeight) {
  const middle = (slot) => slot.y + slot.height / 2;
  if (!chain || from.column === to.column) {
    // A part that calls itself, or one above or below: around the right side.
    const x = from.x + boxWidth;
    const [y1, y2] = from === to ? [middle(from) - boxHeight / 4, middle(from) + boxHeight / 4] : [middle(from), middle(to)];
    return [{ x, y: y1 }, { x: x + 34, y: (y1 + y2) / 2 }, { x, y: y2 }];
  }
  const forward = from.column < to.column;
  const points = [{ x: from.x + (forward ? boxWidth : 0), y: middle(from) }];
  for (const slot of chain.slice(1, -1)) {
    const ends = [{ x: slot.x, y: middle(slot) }, { x: slot.x + boxWidth, y: middle(slot) }];
    points.push(...(forward ? ends : ends.reverse()));
  }
  points.push({ x: to.x + (forward ? 0 : boxWidth), y: middle(to) });
  return points;
}

/** The points of a way as an SVG path. */
export function path(points) {
  if (points.length < 2) return "";
  const [first, ...rest] = points;
  let text = `M${first.x} ${first.y}`;
  if (points.length === 3 && first.x === points[2].x) {
    const [, middle, last] = points;
    return `${text}C${middle.x} ${first.y} ${middle.x} ${last.y} ${last.x} ${last.y}`;
  }
  let before = first;
  for (const point of rest) {
    const half = (point.x - before.x) / 2;
    text += point.y === before.y
      ? `L${point.x} ${point.y}`
      : `C${before.x + half} ${before.y} ${point.x - half} ${point.y} ${point.x} ${point.y}`;
    before = point;
  }
  return text;
}
