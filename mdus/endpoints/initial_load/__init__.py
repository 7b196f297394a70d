"""The initial load: a file of devices, registers, locations and points of delivery becomes the messages SAP would send.

```
rows.py   bytes of a file       -> rows of cells, one at a time
kinds.py  cells of a row        -> the Request of a service
load.py   Requests that belong together -> bulk messages, taken in like SAP's -> what was decided -> the report
```
"""
