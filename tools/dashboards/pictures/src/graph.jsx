/**
 * A node graph in layers, in Grafana's look: Grafana's own is a plugin of its server.
 *
 * In: the frames `nodes` (id, title, mainstat) and `edges` (source, target, mainstat). Out: an SVG.
 * Pure: no I/O.
 */
import React from 'react';
import { getFieldDisplayName } from '@grafana/data';

const RADIUS = 22;

function records(frame) {
  return Array.from({ length: frame?.length ?? 0 }, (_, at) => Object.fromEntries(frame.fields.map((field) => [getFieldDisplayName(field, frame), field.values[at]])));
}

/** How many edges lie before each node, at most; a circle counts once. */
function layers(nodes, edges) {
  const depth = new Map(nodes.map(({ id }) => [id, 0]));
  for (let round = 0; round < Math.min(nodes.length, 8); round++) {
    for (const { source, target } of edges) {
      if (source !== target && depth.get(target) <= depth.get(source) && depth.get(source) < 6) {
        const back = edges.some((other) => other.source === target && other.target === source);
        depth.set(target, back ? Math.max(depth.get(target), depth.get(source)) : depth.get(source) + 1);
      }
    }
  }
  return depth;
}

/** Rows within a column by the mean row of their neighbours, so that fewer edges cross. */
function place(nodes, edges, width, height) {
  const depth = layers(nodes, edges);
  const columns = [...new Set([...depth.values()])].sort((a, b) => a - b).map((at) => nodes.filter(({ id }) => depth.get(id) === at).map(({ id }) => id));
  const at = new Map();
  const settle = () => columns.forEach((column) => column.forEach((id, row) => at.set(id, (row + 0.5) / column.length)));
  settle();
  for (let round = 0; round < 12; round++) {
    for (const column of columns) {
      const mean = (id) => {
        const near = edges.filter(({ source, target }) => source === id || target === id).map(({ source, target }) => at.get(source === id ? target : source));
        return near.length ? near.reduce((a, b) => a + b, 0) / near.length : at.get(id);
      };
      const keys = new Map(column.map((id) => [id, mean(id)]));
      column.sort((a, b) => keys.get(a) - keys.get(b));
    }
    settle();
  }
  return new Map(columns.flatMap((column, x) => column.map((id) => [id, { x: ((x + 0.5) / columns.length) * width, y: 24 + at.get(id) * (height - 64) }])));
}

export function Graph({ frames, width, height, theme }) {
  const nodes = records(frames.find((frame) => frame.refId === 'nodes'));
  const edges = records(frames.find((frame) => frame.refId === 'edges'));
  if (!nodes.length) {
    return <div>No data</div>;
  }
  const where = place(nodes, edges, width, height);
  const most = Math.max(...edges.map(({ mainstat }) => mainstat));
  const ink = theme.colors.text.primary;
  return (
    <svg width={width} height={height} fontFamily={theme.typography.fontFamily} fontSize={12}>
      <defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="6" markerHeight="6" orient="auto-start-reverse"><path d="M 0 0 L 10 5 L 0 10 z" fill="#999" /></marker></defs>
      {edges.map(({ source, target, mainstat }) => {
        const [a, b] = [where.get(source), where.get(target)];
        if (source === target) {
          return <path key={source} d={`M ${a.x - 14} ${a.y - 17} C ${a.x - 40} ${a.y - 60}, ${a.x + 40} ${a.y - 60}, ${a.x + 14} ${a.y - 17}`} fill="none" stroke="#999" markerEnd="url(#tip)" />;
        }
        const far = Math.hypot(b.x - a.x, b.y - a.y);
        const [ux, uy] = [(b.x - a.x) / far, (b.y - a.y) / far];
        const end = { x: b.x - ux * (RADIUS + 4), y: b.y - uy * (RADIUS + 4) };
        return (
          <g key={`${source} ${target}`}>
            <line x1={a.x + ux * RADIUS} y1={a.y + uy * RADIUS} x2={end.x} y2={end.y} stroke="#999" strokeWidth={1 + 2 * Math.sqrt(mainstat / most)} markerEnd="url(#tip)" />
            <text x={a.x + (b.x - a.x) * 0.3} y={a.y + (b.y - a.y) * 0.3 - 5} fill={theme.colors.text.secondary} textAnchor="middle">{Math.round(mainstat * 100) / 100}</text>
          </g>
        );
      })}
      {nodes.map(({ id, title, mainstat }) => {
        const { x, y } = where.get(id);
        return (
          <g key={id}>
            <circle cx={x} cy={y} r={RADIUS} fill={theme.colors.background.primary} stroke={theme.visualization.getColorByName('blue')} strokeWidth="3" />
            <text x={x} y={y + 4} textAnchor="middle" fill={ink}>{Math.round(mainstat * 100) / 100}</text>
            <text x={x} y={y + RADIUS + 15} textAnchor="middle" fill={ink}>{title}</text>
          </g>
        );
      })}
    </svg>
  );
}
