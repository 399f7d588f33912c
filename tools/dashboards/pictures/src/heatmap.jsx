/**
 * A heatmap of cumulative buckets, in Grafana's look: Grafana's own is a plugin of its server.
 *
 * In: one frame for each bucket, its bound in the label `le`. Out: an SVG.
 * Pure: no I/O.
 */
import React from 'react';
import { FieldType, dateTimeFormat, getValueFormat, formattedValueToString } from '@grafana/data';

const LEFT = 96;
const BOTTOM = 26;
const bound = (text) => (text === '+Inf' ? Infinity : Number(text));

export function Heatmap({ frames, width, height, range, panel, theme }) {
  const series = frames.map((frame) => frame.fields.find((field) => field.type === FieldType.number)).filter(Boolean).sort((a, b) => bound(a.labels.le) - bound(b.labels.le));
  if (!series.length) {
    return <div>No data</div>;
  }
  const times = frames[0].fields[0].values;
  const step = times[1] - times[0];
  const cells = [];
  series.forEach((field, row) => times.forEach((time, at) => {
    const count = (field.values[at] ?? 0) - (row ? series[row - 1].values[at] ?? 0 : 0);
    if (count > 0) {
      cells.push({ row, at, count });
    }
  }));
  const most = Math.max(...cells.map(({ count }) => count), 1);
  const shade = (count) => `hsl(${28 - 10 * (count / most)}, 90%, ${88 - 48 * Math.sqrt(count / most)}%)`;
  const plot = { width: width - LEFT - 8, height: height - BOTTOM };
  const high = plot.height / series.length;
  const wide = plot.width / (times.length - 1 || 1);
  const unit = getValueFormat(panel.options.yAxis.unit);
  const ticks = Array.from({ length: 6 }, (_, n) => times[0] + ((times.at(-1) - times[0]) * n) / 5);
  const text = { fill: theme.colors.text.secondary, fontSize: 12 };
  const skip = Math.ceil(series.length / Math.floor(plot.height / 16));
  return (
    <svg width={width} height={height} data-step={step} data-from={range.from.valueOf()}>
      {series.map((field, row) => row % skip === 0 && (
        <text key={field.labels.le} x={LEFT - 8} y={plot.height - (row + 1) * high + 12} textAnchor="end" {...text}>{field.labels.le === '+Inf' ? 'more' : formattedValueToString(unit(Number(field.labels.le)))}</text>
      ))}
      {series.map((field, row) => <line key={row} x1={LEFT} x2={width} y1={plot.height - row * high} y2={plot.height - row * high} stroke={theme.colors.border.weak} />)}
      {cells.map(({ row, at, count }) => <rect key={`${row}/${at}`} x={LEFT + at * wide} y={plot.height - (row + 1) * high + 0.5} width={Math.max(wide - 0.5, 1)} height={high - 1} fill={shade(count)}><title>{count}</title></rect>)}
      {ticks.map((time) => <text key={time} x={LEFT + ((time - times[0]) / (times.at(-1) - times[0])) * plot.width} y={height - 8} textAnchor="middle" {...text}>{dateTimeFormat(time, { format: 'HH:mm', timeZone: 'utc' })}</text>)}
    </svg>
  );
}
