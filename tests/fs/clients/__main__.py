"""Write the replies of now into the conversations; read the difference."""

from ..golden import set_zone
from .serving import hold, scripts

if __name__ == "__main__":
    set_zone()
    for script in scripts():
        script.write_text(hold(script))
