#version 330 core

struct Material {
#ifdef HAS_BASE_COLOR_TEX
    sampler2D base_color_texture;
#endif
    vec4 base_color_factor;
};

const int MOST_LIGHTS = 16;

uniform mat4 M;
uniform Material material;
uniform int light_count;
uniform vec3 light_direction[MOST_LIGHTS];
uniform vec3 light_color[MOST_LIGHTS];
uniform vec3 ambient_color;
uniform vec3 gain;
uniform float specular;
uniform float shininess;
uniform int is_swapped;
uniform sampler2D swapped_picture;
uniform float swapped_aspect;
uniform float texture_period;
uniform float instance;

in vec3 model_position;
in vec3 model_normal;
in vec3 world_position;
in vec3 surface_color;
in vec2 picture_place;

layout(location = 0) out vec4 color_and_instance;
layout(location = 1) out vec4 seen_position;
layout(location = 2) out vec4 seen_normal;

// Where in a swapped-in picture a point lies: looked at along the axis that it faces most.
vec2 swapped_place()
{
    vec3 facing = abs(model_normal);
    vec2 place = model_position.xy;
    if (facing.x >= facing.y && facing.x >= facing.z) {
        place = model_position.yz;
    } else if (facing.y >= facing.z) {
        place = model_position.xz;
    }
    return place / texture_period * vec2(1.0, swapped_aspect);
}

vec3 own_color()
{
#ifdef HAS_BASE_COLOR_TEX
    return texture(material.base_color_texture, picture_place).rgb;
#else
    return surface_color;
#endif
}

void main()
{
    vec3 surface = is_swapped == 1 ? texture(swapped_picture, swapped_place()).rgb : own_color();
    vec3 normal = mat3(M) * (gl_FrontFacing ? model_normal : -model_normal);
    float size = length(normal);
    normal = size > 0.0 ? normal / size : vec3(0.0);
    vec3 view = -normalize(world_position);
    vec3 intensity = ambient_color;
    vec3 mirrored = vec3(0.0);
    for (int light = 0; light < light_count; light++) {
        float cosine = dot(normal, light_direction[light]);
        if (cosine > 0.0) {
            intensity += light_color[light] * cosine;
            vec3 halfway = light_direction[light] + view;
            float span = length(halfway);
            if (specular > 0.0 && span > 0.0) {
                float facing = max(0.0, dot(normal, halfway) / span);
                mirrored += light_color[light] * pow(facing, shininess);
            }
        }
    }
    vec3 color = surface * gain * intensity + specular * mirrored;
    color_and_instance = vec4(min(color, vec3(1.0)), (instance + 1.0) / 255.0);
    seen_position = vec4(model_position, 1.0);
    seen_normal = vec4(normal, 1.0);
}
