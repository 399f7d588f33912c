// In place of react-custom-scrollbars-2, whose default export does not survive bundling: a picture is not scrolled.
import React from 'react';

export const Scrollbars = React.forwardRef(({ children, className }, ref) => <div ref={ref} className={className} style={{ width: '100%', height: '100%', overflow: 'visible' }}>{children}</div>);
export default Scrollbars;
