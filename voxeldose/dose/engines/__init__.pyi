from .base import Engine as Engine
from .convolution import Convolution as Convolution
from .local import LocalDeposition as LocalDeposition
from .named import default_engine as default_engine
from .named import engine_named as engine_named
from .rays.transport import RayTransport as RayTransport
