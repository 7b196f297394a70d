"""Transport in: SOAP, REST, health, callbacks. What arrives is checked, stored, answered; decided elsewhere."""
