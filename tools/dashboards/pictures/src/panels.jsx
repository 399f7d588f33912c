/**
 * Draws a panel by its type with Grafana's components. A type that is not known here says so where the panel would be.
 *
 * In: a panel's JSON, its frames, its size. Out: elements.
 * Pure: no I/O.
 */
import React from 'react';
import { FieldType, VizOrientation, formattedValueToString, getDisplayProcessor, getFieldDisplayName, reduceField } from '@grafana/data';
import { BarGauge, BigValue, Table, TimeSeries, VizRepeater } from '@grafana/ui';
import { Graph } from './graph.jsx';
import { Heatmap } from './heatmap.jsx';

const values = (frames) => frames.flatMap((frame) => frame.fields.filter((field) => field.type === FieldType.number).map((field) => ({ frame, field })));

function Stat({ frames, width, height, theme, panel, range }) {
  const [found] = values(frames);
  if (!found) {
    return <Nothing text={panel.fieldConfig.defaults.noValue ?? 'No data'} />;
  }
  const { field, frame } = found;
  const display = field.display ?? getDisplayProcessor({ field, theme });
  const last = reduceField({ field, reducers: ['lastNotNull'] }).lastNotNull;
  const graph = panel.options.graphMode === 'area' ? { y: field, x: frame.fields[0], timeRange: range } : undefined;
  return <BigValue value={{ ...display(last), title: '' }} width={width} height={height} theme={theme} colorMode={panel.options.colorMode} graphMode={panel.options.graphMode}
    justifyMode="auto" textMode="value" sparkline={graph} />;
}

function Lines({ frames, width, height, range, panel, moments, theme }) {
  if (!values(frames).length) {
    return <Nothing text={panel.fieldConfig.defaults.noValue ?? 'No data'} />;
  }
  // The plot is a canvas between axes of its own; marks of annotations lie above it.
  return (
    <TimeSeries frames={frames} width={width} height={height} timeRange={range} timeZone="utc" legend={panel.options.legend} options={panel.options}>
      {(builder) => {
        builder.addHook('draw', (u) => {
          for (const time of moments) {
            const x = Math.round(u.valToPos(time, 'x', true));
            u.ctx.save();
            u.ctx.strokeStyle = u.ctx.fillStyle = theme.visualization.getColorByName('purple');
            u.ctx.setLineDash([4, 4]);
            u.ctx.beginPath();
            u.ctx.moveTo(x, u.bbox.top);
            u.ctx.lineTo(x, u.bbox.top + u.bbox.height);
            u.ctx.stroke();
            u.ctx.setLineDash([]);
            u.ctx.beginPath();
            u.ctx.moveTo(x - 6, u.bbox.top + u.bbox.height + 10);
            u.ctx.lineTo(x + 6, u.bbox.top + u.bbox.height + 10);
            u.ctx.lineTo(x, u.bbox.top + u.bbox.height);
            u.ctx.fill();
            u.ctx.restore();
          }
        });
        return null;
      }}
    </TimeSeries>
  );
}

function Rows({ frames, width, height, panel, theme }) {
  const frame = frames[0];
  if (!frame?.length) {
    return <Nothing text={panel.fieldConfig.defaults.noValue ?? 'No data'} />;
  }
  const sort = (panel.options.sortBy ?? []).map(({ displayName, desc }) => ({ displayName: displayName, desc }));
  return <Table data={frame} width={width - 16} height={height} initialSortBy={sort} cellHeight={panel.options.cellHeight} theme={theme} />;
}

function Bars({ frames, width, height, theme, panel }) {
  const found = values(frames);
  const tops = Math.max(...found.map(({ field }) => field.values.at(-1) ?? 0), 1);
  const each = found.map(({ field, frame }) => {
    const display = getDisplayProcessor({ field: { ...field, config: { ...field.config, max: tops } }, theme });
    return { field: { ...field.config, min: 0, max: tops }, display, value: { ...display(field.values.at(-1)), title: getFieldDisplayName(field, frame, frames) } };
  });
  const longest = (of) => each.map(of).sort((a, b) => b.length - a.length)[0] ?? '';
  const alignmentFactors = { title: longest(({ value }) => value.title), text: longest(({ value }) => formattedValueToString(value)) };
  return (
    <VizRepeater source={each} getValues={() => each} width={width} height={height} orientation={VizOrientation.Horizontal} renderCounter={0} minVizHeight={16} maxVizHeight={48} itemSpacing={8}
      renderValue={({ value, width: w, height: h }) => <BarGauge {...value} alignmentFactors={alignmentFactors} namePlacement={panel.options.namePlacement} width={w} height={h} orientation={VizOrientation.Horizontal} displayMode={panel.options.displayMode} theme={theme} showUnfilled itemSpacing={8} lcdCellWidth={8} />} />
  );
}

export function Nothing({ text }) {
  return <div style={{ display: 'flex', height: '100%', alignItems: 'center', justifyContent: 'center', opacity: 0.6 }}>{text}</div>;
}

/** Cannot be overlooked. */
export function Fault({ text }) {
  return <div data-fault={text} style={{ background: '#c4162a', color: 'white', padding: 12, height: '100%', boxSizing: 'border-box', fontWeight: 500 }}>{text}</div>;
}

const KINDS = { stat: Stat, timeseries: Lines, table: Rows, bargauge: Bars, heatmap: Heatmap, nodeGraph: Graph };

export function Body(props) {
  const Kind = KINDS[props.panel.type];
  return Kind ? <Kind {...props} format={(field, value) => formattedValueToString(field.display(value))} /> : <Fault text={`No renderer for panels of type ${props.panel.type}`} />;
}
